import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** What can be wrong with certificates and their keys: every answer says what would be right, none repeats a key. */

const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, in its order; `undefined` stands for one that cannot be read. */
export function certificatesIn(pem: string): (X509Certificate | undefined)[] {
  return (pem.match(block) ?? []).map((text) => {
    try {
      return new X509Certificate(text);
    } catch {
      return undefined;
    }
  });
}

const readable = (pem: string) => certificatesIn(pem).filter((certificate) => certificate !== undefined);
const day = (date: Date) => date.toISOString().slice(0, 10);
const outdated = ({ validFromDate, validToDate }: X509Certificate) => validFromDate > new Date() || validToDate < new Date();

/** Whether all certificates of a chain are valid today. */
export function validityProblem(pem: string): string | undefined {
  const chain = readable(pem);
  const found = chain.find(outdated);
  if (!found) return undefined;
  const which = chain.length > 1 ? `holds a certificate (${chain.indexOf(found) + 1} of ${chain.length}) that ` : "";
  return found.validToDate < new Date()
    ? `${which}expired on ${day(found.validToDate)}; write the renewed one`
    : `${which}is not valid before ${day(found.validFromDate)}; write one that is valid today`;
}

/** What `npm start` puts in the place of an encrypted setting, which it cannot read: there is nothing to be known of it. */
export const unreadable = (text: string) => /^encrypted[0-9a-f]{32}@$/.test(text);

/** A private key; nothing if it cannot be read. */
function privateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

export function keyProblem(pem: string): string | undefined {
  if (unreadable(pem) || privateKey(pem)) return undefined;
  return /ENCRYPTED/.test(pem)
    ? "it is protected by a passphrase, which no pod knows; write the key without one"
    : "write the key's whole text, -----BEGIN PRIVATE KEY-----…";
}

/** Whether a key belongs to the first certificate of a chain; `of` is the setting that holds the chain. */
export function pairProblem(pem: string, keyPem: string, of: string): string | undefined {
  const key = privateKey(keyPem);
  const [first, ...others] = readable(pem);
  if (!key || !first || first.checkPrivateKey(key)) return undefined;
  return others.some((certificate) => certificate.checkPrivateKey(key))
    ? `belongs to a later certificate of ${of}; write its own certificate first there, those of intermediate authorities after it`
    : `does not belong to ${of}; write the key that the certificate was made with`;
}

/** Whether authorities are behind a certificate, which may bring intermediate ones along; `of` is the setting that holds the chain. */
export function authorityProblem(pem: string, authoritiesPem: string, of: string): string | undefined {
  const authorities = readable(authoritiesPem);
  const [first, ...intermediates] = readable(pem);
  const stranger = authorities.findIndex(({ ca }) => !ca);
  if (stranger >= 0)
    return `holds a certificate (${stranger + 1} of ${authorities.length}) that is no authority's; write those of authorities alone`;
  if (
    !first ||
    leadsTo(
      first,
      authorities.filter((authority) => !outdated(authority)),
      intermediates,
    )
  )
    return undefined;
  if (leadsTo(first, authorities, intermediates)) return validityProblem(authoritiesPem);
  const issuer = first.issuer.replaceAll("\n", ", ");
  return `did not sign ${of}, whose issuer is ${issuer}; write the authority's certificate, and intermediate ones into ${of} after its own`;
}

function leadsTo(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  intermediates: readonly X509Certificate[],
): boolean {
  const signs = (issuer: X509Certificate) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  if (authorities.some(signs)) return true;
  return intermediates.filter(signs).some((next) =>
    leadsTo(
      next,
      authorities,
      intermediates.filter((other) => other !== next),
    ),
  );
}

/** Whether clients can verify a server by this name with a certificate; as Go does it, which does not look at the common name. */
export function names(pem: string, host: string): boolean {
  return readable(pem)[0]?.checkHost(host, { subject: "never" }) !== undefined;
}
