import { expect } from "chai";
import { atLeast, atMost, quantile, ratio } from "./statistics.ts";

describe("the benchmark's statistics", () => {
  it("a quantile does not depend on the order of the values", () => {
    expect(quantile([3, 1, 2], 0.5)).to.equal(2);
    expect(quantile([4, 1, 3, 2], 0.5)).to.equal(2.5);
    expect(quantile([10, 20], 0.95)).to.be.closeTo(19.5, 1e-9);
  });

  it("a ratio compares measurements of the same round", () => {
    // Both were ten times slower in the second round.
    expect(ratio([9, 90, 9], [10, 100, 10])).to.deep.equal({ median: 0.9, low: 0.9, high: 0.9 });
  });

  it("the confidence interval leaves out as many extreme rounds as 90 % allow", () => {
    const rounds = (count: number) => ratio([...Array(count).keys()], Array(count).fill(1));
    // With eight rounds, at most one lies beyond the true median on either side in 7 % of cases; with five, none does in 6 %.
    expect(rounds(8)).to.deep.equal({ median: 3.5, low: 1, high: 6 });
    expect(rounds(5)).to.deep.equal({ median: 2, low: 0, high: 4 });
    expect(rounds(1)).to.deep.equal({ median: 0, low: 0, high: 0 });
  });

  it("a bound is missed only by more than the spread of the rounds", () => {
    const between = (low: number, median: number, high: number) => ({ low, median, high });
    expect(atLeast(1, "", between(0.9, 1, 1.1)).outcome).to.equal("met");
    expect(atLeast(1, "", between(0.8, 0.9, 1.1)).outcome).to.equal("undecided");
    expect(atLeast(1, "", between(0.8, 0.9, 0.95)).outcome).to.equal("missed");
    expect(atMost(1, "", between(0.9, 1, 1.1)).outcome).to.equal("met");
    expect(atMost(1, "", between(0.9, 1.1, 1.2)).outcome).to.equal("undecided");
    expect(atMost(1, "", between(1.05, 1.1, 1.2)).outcome).to.equal("missed");
    expect(atMost(1, "", ratio([], [])).outcome, "no measurements").to.equal("missed");
  });
});
