import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { checked } from "./text.ts";

/*
 * Checks of certificates and their keys. Each returns what is wrong and what would be valid, or nothing; none repeats a key.
 */

const pemBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const certificatesAdvice = "use one or more certificates, -----BEGIN CERTIFICATE-----…";

export const certificates = () =>
  checked(
    "certificates, PEM",
    certificatesAdvice,
    (value) => {
      const found = parseCertificates(value);
      if (found.length === 0) return certificatesAdvice;
      const unreadable = found.indexOf(undefined);
      return unreadable < 0 ? undefined : `certificate ${unreadable + 1} of ${found.length} cannot be read; ${certificatesAdvice}`;
    },
    { pattern: /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/ },
  );

/** Returns the certificates of a PEM text in its order, `undefined` for each that cannot be read. */
function parseCertificates(pem: string): (X509Certificate | undefined)[] {
  return (pem.match(pemBlock) ?? []).map((text) => {
    try {
      return new X509Certificate(text);
    } catch {
      return undefined;
    }
  });
}

const readable = (pem: string) => parseCertificates(pem).filter((certificate) => certificate !== undefined);
const day = (date: Date) => date.toISOString().slice(0, 10);
const isValidToday = ({ validFromDate, validToDate }: X509Certificate) => validFromDate <= new Date() && validToDate >= new Date();

/** Checks that all certificates of a chain are valid today. */
export function validityProblem(pem: string): string | undefined {
  const chain = readable(pem);
  const found = chain.find((certificate) => !isValidToday(certificate));
  if (!found) return undefined;
  const which = chain.length > 1 ? `contains a certificate (${chain.indexOf(found) + 1} of ${chain.length}) that ` : "";
  return found.validToDate < new Date()
    ? `${which}expired on ${day(found.validToDate)}; use the renewed one`
    : `${which}is not valid before ${day(found.validFromDate)}; use one that is valid today`;
}

function parseKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/** Checks that a private key can be read. */
export function keyProblem(pem: string): string | undefined {
  if (parseKey(pem)) return undefined;
  return /ENCRYPTED/.test(pem)
    ? "it is protected by a passphrase, which the pods do not know; use the key without one"
    : "use the key's whole text, -----BEGIN PRIVATE KEY-----…";
}

/** Checks that a key belongs to the first certificate of a chain; `of` is the setting that holds the chain. */
export function pairProblem(pem: string, keyPem: string, of: string): string | undefined {
  const key = parseKey(keyPem);
  const [first, ...others] = readable(pem);
  if (!key || !first || first.checkPrivateKey(key)) return undefined;
  return others.some((certificate) => certificate.checkPrivateKey(key))
    ? `belongs to a later certificate of ${of}; put its own certificate first there, those of intermediate authorities after it`
    : `does not belong to ${of}; use the key that the certificate was issued for`;
}

/** Checks that authorities issued a certificate, possibly through the intermediate ones after it; `of` is the setting that holds the chain. */
export function authorityProblem(pem: string, authoritiesPem: string, of: string): string | undefined {
  const authorities = readable(authoritiesPem);
  const [first, ...intermediates] = readable(pem);
  const other = authorities.findIndex(({ ca }) => !ca);
  if (other >= 0)
    return `contains a certificate (${other + 1} of ${authorities.length}) that is not an authority's; use certificates of authorities only`;
  if (!first || isIssuedBy(authorities.filter(isValidToday), first, intermediates)) return undefined;
  if (isIssuedBy(authorities, first, intermediates)) return validityProblem(authoritiesPem);
  const issuer = first.issuer.replaceAll("\n", ", ");
  return `did not sign ${of}, whose issuer is ${issuer}; use that authority's certificate, and append intermediate ones to ${of}`;
}

/** Whether a chain of signatures leads from a certificate to one of the authorities. */
function isIssuedBy(
  authorities: readonly X509Certificate[],
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
): boolean {
  const signs = (issuer: X509Certificate) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  if (authorities.some(signs)) return true;
  return intermediates.filter(signs).some((next) =>
    isIssuedBy(
      authorities,
      next,
      intermediates.filter((other) => other !== next),
    ),
  );
}

/** Whether clients can verify a server of this name with the certificate. Like Go, ignores the common name. */
export function isForHost(pem: string, host: string): boolean {
  return readable(pem)[0]?.checkHost(host, { subject: "never" }) !== undefined;
}
