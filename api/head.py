"""HEAD wherever GET is: the same answer without its body, also where the body would never end."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadOfGet:
    """Hands HEAD on as GET and ends the answer after its head."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        ended = False

        async def without_body(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start" and not ended:
                ended = True
                await send(message)
                # From here on the server tells the application that nobody listens, and a stream stops.
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app({**scope, "method": "GET"}, receive, without_body)
