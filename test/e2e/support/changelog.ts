/**
 * Returns what a changelog announces since a version under "Changes to a stack": every text in backticks.
 *
 * @param since the version at which to stop, without `v`; undefined for the whole changelog
 */
export function announcedChanges(changelog: string, since?: string): Set<string> {
  const versions = changelog.split(/^## /m).slice(1);
  const end = since === undefined ? versions.length : versions.findIndex((section) => section.startsWith(`[${since}]`));
  if (end < 0) throw new Error(`CHANGELOG.md has no section [${since}]`);
  const sections = versions
    .slice(0, end)
    .flatMap((version) => version.split(/^### /m).filter((part) => part.startsWith("Changes to a stack")));
  return new Set(sections.flatMap((section) => [...section.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name)));
}
