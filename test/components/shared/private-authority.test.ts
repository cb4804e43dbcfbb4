import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { AuthoritiesArgs } from "../../../components/args.ts";
import { type CertificateArgs, PrivateAuthority } from "../../../components/shared/private-authority.ts";
import { type Answer, isSecret, plain, type RecordedResource, record, settled } from "../../../recorder/record.ts";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";

const server = {
  commonName: "shop",
  dnsNames: ["shop", "shop.mall.svc"],
  ipAddresses: ["127.0.0.1", "fd00::1"],
  use: "server",
} satisfies CertificateArgs;

async function issued(authorities?: AuthoritiesArgs, keys: Readonly<Record<string, Answer>> = {}) {
  const program = () => {
    const authority = new PrivateAuthority("ca", { commonName: "an authority", authorities });
    return {
      authority: authority.certificate,
      server: authority.issue("shop", server),
      client: authority.issue("buyer", { commonName: "buyer", use: "client" }),
    };
  };
  const { resources, result } = await record(program, { answer: ({ name }) => keys[name] });
  const outputs = (await settled(result)) as { authority: string; server: Issued; client: Issued };
  return { resources, ...outputs };
}

interface Issued {
  readonly certificate: string;
  readonly key: unknown;
}

/** The private keys, which the state keeps, as answers of a later recording. */
const keysOf = (resources: readonly RecordedResource[]) =>
  Object.fromEntries(resources.filter(({ type }) => type.endsWith(":PrivateKey")).map(({ name, state }) => [name, { state }]));

/** Returns what openssl says to a certificate, followed by those that its holder sends with it, when it trusts an authority's. */
function verified(authority: string, chain: string, purpose: "sslserver" | "sslclient"): string {
  const folder = mkdtempSync(join(tmpdir(), "authority-"));
  try {
    const [trusted, sent] = [join(folder, "trusted.pem"), join(folder, "sent.pem")];
    writeFileSync(trusted, authority);
    writeFileSync(sent, chain);
    // The first certificate of a file is the one to verify.
    const { stdout, stderr } = spawnSync("openssl", ["verify", "-purpose", purpose, "-CAfile", trusted, "-untrusted", sent, sent]);
    return `${stdout}${stderr}`.trim().replace(`${sent}: `, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const inputs = (resources: readonly RecordedResource[], name: string) =>
  plain(resources.find((resource) => resource.name === name)?.inputs) as Record<string, unknown>;

describe("the private authority", () => {
  it("the authority issues certificates for servers and clients, each for that use only and with a key of its own", async () => {
    const { authority, ...parties } = await issued();
    const root = new X509Certificate(authority);
    expect(root.ca).to.equal(true);
    expect(root.subject).to.equal("CN=an authority");
    const [shop, buyer] = [parties.server, parties.client].map(({ certificate }) => new X509Certificate(certificate));
    for (const certificate of [shop, buyer]) {
      expect(certificate?.checkIssued(root) && certificate.verify(root.publicKey)).to.equal(true);
      expect(certificate?.ca).to.equal(false);
    }
    expect([shop?.keyUsage, buyer?.keyUsage]).to.deep.equal([["1.3.6.1.5.5.7.3.1"], ["1.3.6.1.5.5.7.3.2"]]);
    expect(shop?.subjectAltName).to.equal("DNS:shop, DNS:shop.mall.svc, IP Address:127.0.0.1, IP Address:FD00:0:0:0:0:0:0:1");
    expect([shop?.subject, buyer?.subject, buyer?.subjectAltName]).to.deep.equal(["CN=shop", "CN=buyer", undefined]);
    const keys = [parties.server, parties.client].map(({ key }) => plain(key) as string);
    expect(new Set(keys)).to.have.property("size", 2);
  });

  it("the authority consists of these resources", async () => {
    const { resources } = await issued();
    expect(
      resources.map(({ type, name, parent }) => `${parent?.split("::").at(-1) ?? ""} > ${type.split(":").at(-1)} ${name}`),
    ).to.have.members([
      " > PrivateAuthority ca",
      "ca > PrivateKey ca-key",
      "ca > SelfSignedCert ca-certificate",
      "ca > PrivateKey ca-shop-key",
      "ca > CertRequest ca-shop-request",
      "ca > LocallySignedCert ca-shop-certificate",
      "ca > PrivateKey ca-buyer-key",
      "ca > CertRequest ca-buyer-request",
      "ca > LocallySignedCert ca-buyer-certificate",
    ]);
  });

  it("keys are elliptic, issued certificates valid for a year and renewed in the last quarter of it", async () => {
    const { resources } = await issued();
    expect(inputs(resources, "ca-key")).to.deep.equal({ algorithm: "ECDSA", ecdsaCurve: "P256" });
    expect(inputs(resources, "ca-certificate")).to.deep.include({
      isCaCertificate: true,
      setSubjectKeyId: true,
      validityPeriodHours: 87_600,
      earlyRenewalHours: 21_900,
      allowedUses: ["cert_signing", "crl_signing"],
    });
    expect(inputs(resources, "ca-shop-certificate")).to.deep.include({
      validityPeriodHours: 8_760,
      earlyRenewalHours: 2_190,
      allowedUses: ["digital_signature", "server_auth"],
    });
    expect(inputs(resources, "ca-buyer-certificate")["allowedUses"]).to.deep.equal(["digital_signature", "client_auth"]);
    expect(inputs(resources, "ca-buyer-request")).to.have.all.keys("privateKeyPem", "subject");
  });

  // What was issued before a step of a rotation and what is issued by it, as `authorities`.
  for (const [step, before, after] of [
    ["a new generation", {}, { generation: 2 }],
    ["the retirement of the previous one", { generation: 2 }, { generation: 2, retire: 1 }],
    ["the generation after that", { generation: 2, retire: 1 }, { generation: 3, retire: 1 }],
  ] as const)
    it(`across ${step}, both sides verify each other in any order of the rollouts`, async () => {
      const old = await issued(before);
      const current = await issued(after, keysOf(old.resources));
      expect(current.authority).not.to.equal(old.authority);
      expect(plain(current.server.key) === plain(old.server.key)).to.equal(step === "the retirement of the previous one");
      for (const { authority } of [old, current])
        for (const { server, client } of [old, current]) {
          expect(verified(authority, server.certificate, "sslserver")).to.equal("OK");
          expect(verified(authority, client.certificate, "sslclient")).to.equal("OK");
        }
    });

  it("after a completed rotation, neither side accepts the other", async () => {
    const old = await issued();
    const current = await issued({ generation: 2, retire: 1 }, keysOf(old.resources));
    expect(verified(current.authority, old.server.certificate, "sslserver")).to.match(/unable to get local issuer certificate/);
    expect(verified(old.authority, current.server.certificate, "sslserver")).to.match(/unable to get local issuer certificate/);
  });

  it("private keys are secret, certificates are not", async () => {
    const { resources, authority, server, client } = await issued();
    const keys = resources.filter(({ type }) => type.endsWith(":PrivateKey")).map(({ state }) => plain(state["privateKeyPem"]) as string);
    expect(keys).to.have.length(3);
    // Later lines contain the public key, which requests and certificates contain too.
    const lines = keys.map((key) => key.split("\n")[1] ?? "");
    expect(plainSecrets(resources, lines)).to.deep.equal([]);
    expect([server, client].map(({ key }) => isSecret(key))).to.deep.equal([true, true]);
    expect([authority, server.certificate, client.certificate].some(isSecret)).to.equal(false);
  });
});
