import { expect } from "chai";
import { imagePages } from "../../../registry-scan/server/report/image-page.ts";
import { metrics } from "../../../registry-scan/server/report/metrics.ts";
import { sarif } from "../../../registry-scan/server/report/sarif.ts";
import { failed, finding, Runs, scanned } from "../../support/registry-reports.ts";

const image = "registry.example.com/team/app:1.0";
const arm = `${image} (linux/arm64)`;

/** The outcome for a platform. */
const on = (platform: string, outcome: ReturnType<typeof scanned>) => ({ ...outcome, target: { ...outcome.target, platform } });

describe("results of several platforms", () => {
  const runs = new Runs();
  const first = runs.next([on("linux/amd64", scanned(image, [])), on("linux/arm64", scanned(arm, [finding()]))]);
  const second = runs.next([on("linux/amd64", scanned(image, [finding()])), on("linux/arm64", failed(arm))]);

  it("are compared each with its own last scan, and keep their platform when a scan fails", () => {
    const shown = ({ images }: typeof first) =>
      images.map(({ name, platform, findings }) => [name, platform, findings.map(({ fresh }) => fresh)]);
    expect(shown(first)).to.deep.equal([
      [image, "linux/amd64", []],
      [arm, "linux/arm64", [true]],
    ]);
    expect(shown(second)).to.deep.equal([
      [image, "linux/amd64", [true]],
      [arm, "linux/arm64", [false]],
    ]);
  });

  it("stay as they are while the platforms cannot be listed", () => {
    const problem = { kind: "error", about: image, message: "its platforms cannot be listed: 503" } as const;
    const third = runs.next([], {}, [problem]);
    expect(third.removed).to.deep.equal([]);
    expect(third.images.map(({ name, findings }) => [name, findings.length])).to.deep.equal([
      [image, 1],
      [arm, 1],
    ]);
  });

  it("show their platform in the pages and in SARIF, and count for the same repository in the metrics", () => {
    const pages = new Map(imagePages(first));
    expect(pages.get(image)).to.match(/Platform<\/\w+>\s*<\w+>.*linux\/amd64/);
    expect(pages.get(arm)).to.match(/Platform<\/\w+>\s*<\w+>.*linux\/arm64/);
    const [result] = sarif(first).runs[0]?.results ?? [];
    expect(result?.message.text).to.include(`Image: ${arm}\nPlatform: linux/arm64\n`);
    const idle = { undelivered: {}, refused: {}, isRunning: false, pendingCopies: 0, hasVolumeError: false };
    const text = metrics(second, idle, true);
    expect(text).to.include('findings{repository="registry.example.com/team/app",severity="CRITICAL"} 2\n');
    expect(text).to.include(`image_findings{image="${arm}",severity="CRITICAL"} 1\n`);
  });
});
