"""What a merged answer needs from the store."""

from __future__ import annotations

from speed_layer.store.reader import Reader
from speed_layer.store.records import SpeedPart


def speed_part(reader: Reader) -> SpeedPart:
    """The pointer, its generation, that generation's last batch, and every block behind the pointer's cut.

    Before the first publish: all blocks of the newest active generation. All of one snapshot. A reader that follows
    along compares pointer and generation with what it holds, then asks `reader.blocks_since`.
    """
    pointer = reader.pointer()
    if pointer:
        generation = reader.generation(pointer.generation)
        return SpeedPart(
            pointer,
            generation,
            reader.last_progress(generation.number),
            reader.blocks(generation.number, after_segment=pointer.segment),
        )
    active = [g for g in reader.generations() if g.state == "active"]
    if not active:
        return SpeedPart(None, None, None, [])
    number = active[-1].number
    return SpeedPart(None, active[-1], reader.last_progress(number), reader.blocks(number))
