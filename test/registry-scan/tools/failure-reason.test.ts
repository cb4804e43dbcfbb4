import { expect } from "chai";
import { redact } from "../../../registry-scan/protocol/redact.ts";
import { failureReason } from "../../../registry-scan/tools/failure-reason.ts";

describe("failureReason", () => {
  const fatal = "2026-11-22T17:17:58Z\tFATAL\tFatal error\trun error: image scan error: scan error: ";
  const missing = `unable to initialize a scan service: unable to initialize container image: unable to find the specified image "r.example:5000/nope/x:1" in ["remote"]: 1 error occurred:\n\t* remote error: `;
  for (const [what, stderr, reason] of [
    [
      "trivy about an image that does not exist",
      `${fatal}${missing}GET http://r.example:5000/v2/nope/x/manifests/1: MANIFEST_UNKNOWN: manifest unknown; unknown tag=1\n\n\n`,
      "MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
    ],
    [
      "trivy about a registry that answers neither over HTTPS nor HTTP",
      `${fatal}${missing}Get "https://r.example:5999/v2/": dial tcp 192.0.2.1:5999: connect: connection refused; Get "http://r.example:5999/v2/": dial tcp 192.0.2.1:5999: connect: connection refused\n\n\n`,
      "dial tcp 192.0.2.1:5999: connect: connection refused",
    ],
    [
      "trivy about a scan service that does not answer",
      `${fatal}scan failed: failed analysis: unable to get missing layers: unable to fetch missing layers: backoff: permanent error (last error: twirp error internal: failed to do request: Post "http://trivy/twirp/trivy.cache.v1.Cache/MissingBlobs": dial tcp 192.0.2.1:80: connect: connection refused)`,
      "the scan service fails: dial tcp 192.0.2.1:80: connect: connection refused",
    ],
    [
      "trivy about a scan service that refuses the token",
      `${fatal}scan failed: failed analysis: unable to get missing layers: unable to fetch missing layers: backoff: permanent error (last error: twirp error unauthenticated: invalid token)`,
      "the scan service refuses the token (TRIVY_TOKEN)",
    ],
    [
      "trivy about a VEX document that does not exist",
      "2026-11-22T17:18:00Z\tFATAL\tFatal error\trun error: filter error: filtering error: VEX error: VEX error: unable to load VEX: file open error: open /none.json: no such file or directory",
      "unable to load VEX: file open error: open /none.json: no such file or directory",
    ],
    [
      "crane after warnings",
      "2026/11/22 17:15:29 HEAD request failed, falling back on GET: HEAD http://r.example/v2/a/manifests/1: unexpected status code 404\nError: GET http://r.example/v2/a/manifests/1: MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
      "MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
    ],
    [
      "crane about a repository that does not exist",
      "Error: reading tags for r.example/a: GET http://r.example/v2/a/tags/list?n=1000: NAME_UNKNOWN: repository name not known to registry; map[name:a]",
      "NAME_UNKNOWN: repository name not known to registry",
    ],
    ["a program without the form of an error", "exec format error\n", "exec format error"],
    ["a program without output", "", "it failed without an error message"],
    ["a program with a very long error", `Error: ${"x".repeat(700)}`, `${"x".repeat(600)}…`],
  ] as const)
    it(`the failure reason is taken from the output of ${what}`, () => expect(failureReason(stderr)).to.equal(reason));
});

describe("redact", () => {
  it("logins, signed query strings and tokens are redacted", () => {
    const before = process.env["TRIVY_TOKEN"];
    process.env["TRIVY_TOKEN"] = "token-of-the-test";
    try {
      expect(redact('Get "https://me:pw@r.example/v2/x?sig=abc&key=1": token-of-the-test')).to.equal('Get "https://r.example/v2/x": ***');
      expect(redact("GET https://r.example/token?scope=a:b: DENIED: no")).to.equal("GET https://r.example/token: DENIED: no");
    } finally {
      if (before === undefined) delete process.env["TRIVY_TOKEN"];
      else process.env["TRIVY_TOKEN"] = before;
    }
  });
});
