"""What one record says by itself about device, robot, channel, place and local time. No function here reads a clock."""
