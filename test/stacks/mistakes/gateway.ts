import { certificate, serverCertificate } from "../../support/certificate.ts";
import type { Mistakes } from "./mistake.ts";

const { leaf, intermediate, authority, key, otherKey, encryptedKey, expired, early, expiredAuthority } = serverCertificate;
const tokens = ["0123456789abcdef", "fedcba9876543210"];
const withGateway = (gateway: Record<string, unknown>) => ({ gateway: { enabled: true, ...gateway } });
const withClients = (...clients: Record<string, unknown>[]) => withGateway({ clients });
const withTls = (tls: Record<string, unknown>) => withGateway({ tls: { enabled: true, ...tls } });

export const gateway: Mistakes = {
  inSchema: [
    ["a rate below that of one scan", withGateway({ rateLimit: 1 }), "gateway.rateLimit", /use a whole number from 30/],
    [
      "clients without the gateway",
      { gateway: { clients: [{ name: "a" }] } },
      "gateway.clients",
      /has no effect because gateway\.enabled is false; remove it or set gateway\.enabled: true/,
    ],
    [
      "TLS without the gateway",
      { gateway: { enabled: false, tls: { enabled: true } } },
      "gateway.tls",
      /has no effect because gateway\.enabled is false/,
    ],
    ["an empty list of clients", withGateway({ clients: [] }), "gateway.clients", /name at least one/],
    ["a client without a name", withClients({}), "gateway.clients[0].name", /is missing; use a DNS label/],
    ["a name of a client that is not a DNS label", withClients({ name: "Team A" }), "gateway.clients[0].name", /use a DNS label/],
    ["generation zero", withClients({ name: "a", generation: 0 }), "gateway.clients[0].generation", /from 1/],
    [
      "a name with a scheme in the certificate",
      withTls({ names: ["https://trivy.example.com"] }),
      "gateway.tls.names[0]",
      /without scheme/,
    ],
    [
      "a name in a certificate without TLS",
      withGateway({ tls: { names: ["trivy.example.com"] } }),
      "gateway.tls.names",
      /set gateway\.tls\.enabled: true/,
    ],
    [
      "a certificate in addition to a Secret that holds it",
      withTls({ existingSecret: "a", certificate: leaf }),
      "gateway.tls.certificate",
      /conflicts with gateway\.tls\.existingSecret; remove one of the two/,
    ],
  ],
  beyondSchema: [
    [
      "two clients of one name",
      withClients({ name: "a" }, { name: "b" }, { name: "a" }),
      "gateway.clients[2].name",
      /is a, the same as gateway\.clients\[0\]\.name/,
    ],
    ["a short token", withClients({ name: "a", token: "0123456789abcde" }), "gateway.clients[0].token", /at least 16 printable/],
    ["a token with a space", withClients({ name: "a", token: "0123456789 abcdef" }), "gateway.clients[0].token", /without spaces/],
    [
      "a previous token in addition to a generated one",
      withClients({ name: "a", previousToken: tokens[0] }),
      "gateway.clients[0].previousToken",
      /has no effect without token/,
    ],
    [
      "a previous token that is the current one",
      withClients({ name: "a", token: tokens[0], previousToken: tokens[0] }),
      "gateway.clients[0].previousToken",
      /the same as token/,
    ],
    [
      "one token for two clients",
      withClients({ name: "a", token: tokens[0], previousToken: tokens[1] }, { name: "b", token: tokens[1] }),
      "gateway.clients[1].token",
      /is also a token of gateway\.clients\[0\]/,
    ],
    [
      "the generation of a token that is given",
      withClients({ name: "a", token: tokens[0], generation: 2 }),
      "gateway.clients[0].generation",
      /has no effect because gateway\.clients\[0\]\.token is set/,
    ],
    [
      "retiring a token that is given",
      withClients({ name: "a", token: tokens[0], retire: 1 }),
      "gateway.clients[0].retire",
      /has no effect because gateway\.clients\[0\]\.token is set/,
    ],
    ["retiring the current token", withClients({ name: "a", generation: 2, retire: 2 }), "gateway.clients[0].retire", /use at most 1/],
    [
      "too little memory for the gateway",
      withGateway({ resources: { limits: { memory: "100Mi" } } }),
      "gateway.resources.limits.memory",
      /use at least 256Mi/,
    ],
    [
      "a gateway that requests more than its limit",
      withGateway({ resources: { requests: { memory: "2Gi" } } }),
      "gateway.resources.requests.memory",
      /above the limit of 1Gi; .*raise gateway\.resources\.limits\.memory/,
    ],
    [
      "an invalid address in the certificate",
      withTls({ names: ["10.0.0.256"] }),
      "gateway.tls.names[0]",
      /use a DNS name or an IP address/,
    ],
    ["a certificate without its key", withTls({ certificate: leaf }), "gateway.tls.key", /is missing/],
    ["a key without its certificate", withTls({ key }), "gateway.tls.certificate", /is missing/],
    [
      "a key of another certificate",
      withTls({ certificate: leaf, key: otherKey }),
      "gateway.tls.key",
      /does not belong to gateway\.tls\.certificate/,
    ],
    [
      "a chain in the wrong order",
      withTls({ certificate: `${intermediate}\n${leaf}`, key }),
      "gateway.tls.key",
      /put its own certificate first/,
    ],
    ["a key with a passphrase", withTls({ certificate: leaf, key: encryptedKey }), "gateway.tls.key", /protected by a passphrase/],
    ["half of a key", withTls({ certificate: leaf, key: key.slice(0, 100) }), "gateway.tls.key", /use the key's whole text/],
    [
      "an expired certificate",
      withTls({ certificate: expired, key }),
      "gateway.tls.certificate",
      /expired on 2021-01-01; use the renewed one/,
    ],
    ["a certificate that is not valid yet", withTls({ certificate: early, key }), "gateway.tls.certificate", /not valid before 2125-01-01/],
    [
      "an expired certificate further up the chain",
      withTls({ certificate: `${leaf}\n${expiredAuthority}`, key }),
      "gateway.tls.certificate",
      /\(2 of 2\) that expired/,
    ],
    [
      "an authority that did not sign",
      withTls({ certificate: `${leaf}\n${intermediate}`, key, caCertificates: certificate }),
      "gateway.tls.caCertificates",
      /did not sign gateway\.tls\.certificate, whose issuer is CN=example-intermediate;/,
    ],
    [
      "an authority that did not sign but is part of the chain",
      withTls({ certificate: `${leaf}\n${certificate}`, key, caCertificates: certificate }),
      "gateway.tls.caCertificates",
      /did not sign gateway\.tls\.certificate/,
    ],
    [
      "a gap between certificate and authority",
      withTls({ certificate: leaf, key, caCertificates: authority }),
      "gateway.tls.caCertificates",
      /append intermediate ones to gateway\.tls\.certificate/,
    ],
    [
      "a server's certificate in place of an authority's",
      withTls({ certificate: leaf, key, caCertificates: `${intermediate}\n${leaf}` }),
      "gateway.tls.caCertificates",
      /\(2 of 2\) that is not an authority's/,
    ],
    [
      "an expired authority",
      withTls({ certificate: `${leaf}\n${intermediate}`, key, caCertificates: expiredAuthority }),
      "gateway.tls.caCertificates",
      /expired on 2021-01-01/,
    ],
    [
      "an authority of a generated certificate",
      withTls({ caCertificates: authority }),
      "gateway.tls.caCertificates",
      /has no effect because the certificate and its authority are generated; remove it/,
    ],
    [
      "names in a certificate that is given",
      withTls({ certificate: leaf, key, names: ["a.example.com"] }),
      "gateway.tls.names",
      /has no effect because the certificate is given/,
    ],
    [
      "names in the certificate of a Secret",
      withTls({ existingSecret: "a", names: ["a.example.com"] }),
      "gateway.tls.names",
      /has no effect because the certificate is given/,
    ],
  ],
};
