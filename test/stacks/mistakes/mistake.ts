/** One mistake: what it is, settings with it, the path that the problem names, and words of what would be valid. */
export type Mistake = readonly [what: string, settings: Record<string, unknown>, path: string, message: RegExp];

export interface Mistakes {
  /** Mistakes that the JSON schema expresses too, so that an editor shows them. */
  readonly inSchema: readonly Mistake[];
  /** Mistakes between settings, inside of encrypted values, or that take more than a pattern to find. */
  readonly beyondSchema: readonly Mistake[];
}
