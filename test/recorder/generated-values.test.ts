import "reflect-metadata";
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { X509Certificate as ParsedCertificate } from "@peculiar/x509";
import { expect } from "chai";
import { generatorOf } from "../../recorder/generated-values.ts";

const generate = async (type: string, inputs: Record<string, unknown>) => (await generatorOf(type)?.generate(inputs)) ?? "";
const newKey = () => generate("tls:index/privateKey:PrivateKey", { algorithm: "ECDSA", ecdsaCurve: "P256" });
const newAuthority = (privateKeyPem: string, commonName: string) =>
  generate("tls:index/selfSignedCert:SelfSignedCert", {
    privateKeyPem,
    subject: { commonName },
    validityPeriodHours: 100,
    isCaCertificate: true,
    allowedUses: ["cert_signing", "crl_signing"],
  });

/** The extensions of a certificate as the ASN.1 that a client sees: id, whether critical, and value. */
const extensions = (pem: string) =>
  new ParsedCertificate(pem).extensions.map(({ type, critical, value }) => [type, critical, Buffer.from(value).toString("hex")]);
const keyId = (pem: string) => {
  const { x = "", y = "" } = createPublicKey(pem).export({ format: "jwk" });
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  return createHash("sha1").update(point).digest("hex");
};

describe("generated certificates", () => {
  let key: string;
  let authority: string;
  let leafKey: string;
  let leaf: string;
  before(async () => {
    key = await newKey();
    leafKey = await newKey();
    authority = await newAuthority(key, "an authority, Ü=1");
    const certRequestPem = await generate("tls:index/certRequest:CertRequest", {
      privateKeyPem: leafKey,
      subject: { commonName: "shop" },
      dnsNames: ["shop", "*.shop.svc"],
      ipAddresses: ["10.0.0.1", "fd00::1"],
    });
    leaf = await generate("tls:index/locallySignedCert:LocallySignedCert", {
      ...{ certRequestPem, caCertPem: authority, caPrivateKeyPem: key },
      validityPeriodHours: 24,
      allowedUses: ["digital_signature", "server_auth"],
    });
  });

  it("generated certificates have the key usages, names and key identifiers of the tls provider's certificates", () => {
    expect(extensions(authority)).to.deep.equal([
      ["2.5.29.19", true, "30030101ff"],
      ["2.5.29.15", true, "03020106"],
      ["2.5.29.14", false, `0414${keyId(key)}`],
    ]);
    expect(extensions(leaf)).to.deep.equal([
      ["2.5.29.19", true, "3000"],
      ["2.5.29.15", true, "03020780"],
      ["2.5.29.37", false, "300a06082b06010505070301"],
      ["2.5.29.35", false, `30168014${keyId(key)}`],
      [
        "2.5.29.17",
        false,
        `302a8204${Buffer.from("shop").toString("hex")}820a${Buffer.from("*.shop.svc").toString("hex")}87040a000001` +
          "8710fd000000000000000000000000000001",
      ],
    ]);
  });

  it("generated certificates are signed by the authority for the holder's key, and contain both names literally", () => {
    const [root, holder] = [new X509Certificate(authority), new X509Certificate(leaf)];
    expect(root.verify(root.publicKey) && holder.verify(root.publicKey) && holder.checkIssued(root)).to.equal(true);
    expect(holder.checkPrivateKey(createPrivateKey(leafKey))).to.equal(true);
    expect([root.issuer, root.subject, holder.issuer]).to.deep.equal(Array(3).fill("CN=an authority\\, Ü=1"));
    expect(holder.subject).to.equal("CN=shop");
    expect(root.serialNumber).to.not.equal(holder.serialNumber);
  });

  it("generated certificates are valid from now for the requested hours", () => {
    const { validFromDate, validToDate } = new X509Certificate(leaf);
    expect(validToDate.getTime() - validFromDate.getTime()).to.equal(24 * 60 * 60 * 1000);
    expect(Math.abs(Date.now() - validFromDate.getTime())).to.be.below(60_000);
  });

  it("a certificate for a use that is not supported is refused", async () => {
    const refusal = await generate("tls:index/selfSignedCert:SelfSignedCert", {
      privateKeyPem: key,
      validityPeriodHours: 1,
      allowedUses: ["code_signing"],
    }).catch((error: Error) => error.message);
    expect(refusal).to.equal("the recorder generates no certificates for code_signing");
  });
});
