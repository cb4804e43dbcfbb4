import { expect } from "chai";
import { fingerprint } from "../../../../registry-scan/worker/replay/fingerprint.ts";
import { message, varint } from "../../../support/protobuf.ts";

describe("fingerprint", () => {
  const cvss = (vendor: string, vector: string) => [12, message([1, vendor], [2, message([2, vector])])] as const;
  const severity = (vendor: string) => [21, message([1, vendor])] as const;
  const answer = (...vulnerabilities: readonly Buffer[]) =>
    message([1, message([1, "alpine"])], [3, message([1, "target"], ...vulnerabilities.map((body) => [2, body] as const))]);
  const nvd = cvss("nvd", "CVSS:3.1/AV:N");
  const redhat = cvss("redhat", "CVSS:3.1/AV:L");

  it("a fingerprint does not depend on the order of a map's entries", () => {
    const one = answer(message([1, "CVE-1"], nvd, redhat, [14, "url"], severity("nvd"), severity("redhat")));
    const other = answer(message([1, "CVE-1"], redhat, nvd, [14, "url"], severity("redhat"), severity("nvd")));
    expect(one.equals(other)).to.equal(false);
    expect(fingerprint(one)).to.equal(fingerprint(other));
  });

  it("fingerprints differ when anything other than the order of a map's entries differs", () => {
    const first = message([1, "CVE-1"], nvd, redhat);
    const second = message([1, "CVE-2"], nvd);
    const all = [
      answer(first, second),
      answer(second, first),
      answer(first),
      answer(first, second, second),
      answer(message([1, "CVE-1"], nvd), message([1, "CVE-2"], redhat, nvd)),
      answer(message([1, "CVE-1"], nvd, cvss("redhat", "CVSS:3.1/AV:P")), second),
      answer(message([1, "CVE-10"], nvd, redhat), second),
      message([1, message([1, "debian"])], [3, message([1, "target"], [2, first], [2, second])]),
      answer(),
      message(),
    ].map(fingerprint);
    expect(all).not.to.include(undefined);
    expect(new Set(all).size).to.equal(all.length);
  });

  it("a fingerprint covers fields of every wire type, and is undefined for invalid messages", () => {
    const number = Buffer.concat([varint(4 * 8), varint(300)]);
    const eight = Buffer.concat([varint(5 * 8 + 1), Buffer.alloc(8, 1)]);
    const four = Buffer.concat([varint(100 * 8 + 5), Buffer.alloc(4, 1)]);
    const whole = Buffer.concat([number, eight, four, message([3, message([1, "t"])])]);
    expect(fingerprint(whole)).to.be.a("string");
    for (const wrong of ["<html>", "{}", whole.subarray(0, -1), Buffer.alloc(12, 0xff), message([3, "no message"])])
      expect(fingerprint(Buffer.from(wrong as string)), `${wrong}`).to.equal(undefined);
  });
});
