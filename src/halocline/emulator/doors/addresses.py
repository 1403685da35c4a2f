"""Where a running emulator can be reached, and what a client has to know to get there."""

from __future__ import annotations

from dataclasses import asdict, dataclass

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Addresses:
    """The open doors, without a slash at the end, and the login of the default connected app.

    `https_url`, `proxy_url` and `ca_file` (a PEM file with the certificate authority) are None where that door is shut.
    """

    url: str
    consumer_key: str
    consumer_secret: str
    https_url: str | None = None
    proxy_url: str | None = None
    ca_file: str | None = None

    def environment(self, host: str | None = None) -> dict[str, str]:
        """The variables that lead a client's process here; loopback addresses are reached without the proxy.

        `host`, such as `mycompany.my.salesforce.com`, becomes the login URL; None takes the plain http door. Node's own client
        reads proxy variables only with NODE_USE_ENV_PROXY.
        Raises: ValueError if a host is asked for and the proxy is shut.
        Source: Node.js, "Command-line API", NODE_USE_ENV_PROXY and NODE_EXTRA_CA_CERTS; OpenSSL, openssl-env(7),
        SSL_CERT_FILE; Requests, "SSL Cert Verification", REQUESTS_CA_BUNDLE; curl(1), "ENVIRONMENT".
        """
        if host is not None and self.proxy_url is None:
            raise ValueError(f"{host} can be reached through the proxy only, and that door is shut")
        login = {
            "SF_LOGIN_URL": self.url if host is None else f"https://{host}",
            "SF_CLIENT_ID": self.consumer_key,
            "SF_CLIENT_SECRET": self.consumer_secret,
        }
        return login | self._proxy() | self._authority()

    def as_json(self) -> dict[str, str | None]:
        """The same as plain data."""
        return asdict(self)

    def _proxy(self) -> dict[str, str]:
        if self.proxy_url is None:
            return {}
        direct = ",".join(LOOPBACK)
        named = {"HTTPS_PROXY": self.proxy_url, "https_proxy": self.proxy_url, "NO_PROXY": direct, "no_proxy": direct}
        return named | {"NODE_USE_ENV_PROXY": "1"}

    def _authority(self) -> dict[str, str]:
        if self.ca_file is None:
            return {}
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), self.ca_file)
