"""The peers for people and programs: GET /discovery/peers."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from discovery_server.access.access import Access

from .peers import Peers, PeerView


class PeersBody(BaseModel):
    """This server, and how it stands with each of the others."""

    server_id: str
    peers: list[PeerView]


def peer_routes(peers: Peers, access: Access, *, server_id: str) -> APIRouter:
    router = APIRouter()

    @router.get("/discovery/peers", summary="The other servers: whether they are there, know the same, lag behind")
    async def show_peers(request: Request) -> PeersBody:
        access.require_reader(request.headers.get("authorization"))
        return PeersBody(server_id=server_id, peers=peers.views())

    return router
