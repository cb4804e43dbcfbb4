import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { announcedChanges } from "../e2e/support/changelog.ts";

const changelog = readFileSync(join(import.meta.dirname, "../../CHANGELOG.md"), "utf8");

describe("the changelog", () => {
  it("every version has a section Changes to a stack", () => {
    const versions = changelog.split(/^## /m).slice(1);
    expect(versions[0]).to.match(/^\[Unreleased\]\n/);
    for (const version of versions) {
      expect(version).to.match(/^\[(Unreleased|\d+\.\d+\.\d+)\]/);
      expect(version).to.match(/^### Changes to a stack$/m);
    }
  });

  it("headings are those of Keep a Changelog, and Changes to a stack", () => {
    const known = ["Changes to a stack", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    for (const [, heading] of changelog.matchAll(/^### (.*)$/gm)) expect(known).to.include(heading);
  });

  it("announced changes are the names in the sections since a version", () => {
    const text = [
      ...["# Changelog", "## [Unreleased]", "### Added", "- `setting`", "### Changes to a stack", "- replaces `trivy-redis-claim`"],
      ...[
        "## [0.2.0] - 2026-01-02",
        "### Changes to a stack",
        "- deletes `trivy-old`",
        "## [0.1.0] - 2026-01-01",
        "### Changes to a stack",
      ],
    ].join("\n");
    expect([...announcedChanges(text, "0.2.0")]).to.deep.equal(["trivy-redis-claim"]);
    expect([...announcedChanges(text)]).to.deep.equal(["trivy-redis-claim", "trivy-old"]);
    expect([...announcedChanges(text, "0.1.0")]).to.deep.equal(["trivy-redis-claim", "trivy-old"]);
    expect(() => announcedChanges(text, "0.0.9")).to.throw("no section [0.0.9]");
  });
});
