"""A proxy on loopback for clients whose stream has one fixed, encrypted address.

pykalshi's feed knows only the venue's real host. Its web-socket library takes a proxy and a certificate authority from the
environment (`wss_proxy`, `SSL_CERT_FILE`), as any program behind a company's proxy does: so the client asks this tunnel to
connect it, meets a certificate of this run's own authority, and speaks to the simulated venue. Nothing of it is changed, and
nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CHUNK = 65_536


@dataclass
class Tunnel:
    authority: Path
    port: int = 0
    hosts: list[str] = field(default_factory=list)
    """Which addresses were asked for, in their sequence."""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificates(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """A throw-away authority, and a context with a certificate of it for `host`."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def start(subject: str) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("conformance run"))
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=6))
        )

    authority = (
        start("conformance run")
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        start(host)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trusted, chain = folder / "authority.pem", folder / "tunnel.pem"
    trusted.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    chain.touch(mode=0o600)
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return trusted, context


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(ConnectionError, RuntimeError, ssl.SSLError):
        writer.close()


@asynccontextmanager
async def tunnel(folder: Path, host: str, port: int) -> AsyncIterator[Tunnel]:
    """Encrypted connections to `host` end here and go on, in the clear, to `port` of this machine; others are refused."""
    authority, context = _certificates(folder, host)
    made = Tunnel(authority)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            wanted = asked[1].decode(errors="replace") if len(asked) > 1 else ""
            made.hosts.append(wanted)
            if asked[0] != b"CONNECT" or wanted != f"{host}:443":
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(context)
            onward, back = await asyncio.open_connection("127.0.0.1", port)
            ends.append(back)
            await asyncio.gather(_copy(reader, back), _copy(onward, writer))
        except (OSError, asyncio.IncompleteReadError):
            return  # whoever asked has gone
        finally:
            for end in ends:
                end.close()

    served: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        served.add(task)
        task.add_done_callback(served.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(served):
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
