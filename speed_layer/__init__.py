"""The entrance and the live half: collector, replay, the streaming queries and the speed store."""
