"""Throw-away certificates for a sandbox with TLS; made by trustme, never by hand."""

from pathlib import Path

from stream.errors import SandboxError


class Certificates:
    """PEM files under `directory`: `authority` to trust, `server` (key and chain) for 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.authority = directory / "authority.pem"
        self.server = directory / "server.pem"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._issue()

    def _issue(self) -> None:
        try:
            import trustme  # noqa: PLC0415 (only a sandbox with TLS needs it)
            from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415
        except ImportError as error:
            raise SandboxError(f"a sandbox with TLS needs {error.name}: run `make setup` in the checkout") from error
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        key = pem.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        # Kafka reads PKCS #8 keys only.
        pkcs8 = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.authority.write_bytes(authority.cert_pem.bytes())
        self.server.touch(mode=0o600)
        self.server.write_bytes(pkcs8 + chain)
