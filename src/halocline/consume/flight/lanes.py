"""Lanes: messages of a group, one behind the other. Only the first of a lane is worked on."""

from __future__ import annotations

from collections import deque

from halocline.consume.flight.roster import Stay


class Lanes:
    """One lane for each group that has messages here; a lane with nobody in it is forgotten."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Stay]] = {}

    def add(self, stay: Stay) -> bool:
        """Put a message at the end of its group's lane; true where it is the first."""
        lane = self._lanes.setdefault(stay.ticket.arrival.group, deque())
        lane.append(stay)
        return len(lane) == 1

    def step(self, stay: Stay) -> Stay | None:
        """The first is done: who is the first now. A message that is in no lane, or not the first, steps nothing."""
        group = stay.ticket.arrival.group
        lane = self._lanes.get(group)
        if lane is None or lane[0] is not stay:
            return None
        lane.popleft()
        if lane:
            return lane[0]
        del self._lanes[group]
        return None

    def cut(self, stay: Stay) -> list[Stay]:
        """The message and all behind it leave the lane: who they are, without it, the last first.

        What is behind a message must not be worked on before it. The last goes back first, so that none of them can be handed out
        before one that is in front of it.
        """
        followers = self.cut_behind(stay)
        group = stay.ticket.arrival.group
        lane = self._lanes.get(group)
        if lane is not None and lane[-1] is stay:
            lane.pop()
            if not lane:
                del self._lanes[group]
        return followers

    def cut_behind(self, stay: Stay) -> list[Stay]:
        """All behind the message leave the lane: who they are, the last first."""
        lane = self._lanes.get(stay.ticket.arrival.group)
        if lane is None or stay not in lane:
            return []
        followers = []
        while lane[-1] is not stay:
            followers.append(lane.pop())
        return followers

    def is_followed(self, stay: Stay) -> bool:
        """Whether another message waits for this one."""
        lane = self._lanes.get(stay.ticket.arrival.group) if self._lanes else None
        return lane is not None and lane[0] is stay and len(lane) > 1
