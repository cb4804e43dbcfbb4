import type { SettingProblem } from "./errors.ts";
import { describeText } from "./kinds/message.ts";
import { isUnreadable } from "./kinds/secret.ts";
import type { Block } from "./model.ts";
import { isRaw, type Path, type Raw } from "./paths.ts";
import type { IsEncrypted } from "./structural-rules.ts";
import { trace } from "./trace.ts";

/**
 * Returns problems in which no text appears that is, or may be, a secret: they are printed in CI logs and in comments of pull requests. Hidden
 * are texts that are encrypted, that are where the schema has a secret, and those that look like one wherever they are.
 */
export function withHiddenValues(
  problems: readonly SettingProblem[],
  model: Block,
  settings: Raw,
  isEncrypted: IsEncrypted,
): SettingProblem[] {
  const hidden = [...textsIn(settings)]
    .filter(
      ({ path, text }) =>
        text !== "" && (isUnreadable(text) || looksSecret(text) || isSecret(model, settings, path) || isEncrypted(path, text)),
    )
    .map(({ text }) => text)
    .sort((one, other) => other.length - one.length);
  const hide = (message: string) => hidden.reduce(without, message);
  return problems.map((problem) => ({ ...problem, path: hide(problem.path), message: hide(problem.message) }));
}

/** Returns a message without a text: as it quotes values, and as it names them, where the text is a word of its own and no common one. */
function without(message: string, text: string): string {
  const unquoted = message.replaceAll(describeText(text), "[hidden]");
  return text.length < 6
    ? unquoted
    : unquoted.replaceAll(new RegExp(`(?<!\\w)${text.replaceAll(/[^\w\s]/g, "\\$&")}(?!\\w)`, "g"), "[hidden]");
}

/** Returns all texts in settings, with the names of settings that may have slipped from values. */
function* textsIn(value: unknown, path: Path = []): Generator<{ readonly path: Path; readonly text: string }> {
  if (typeof value === "string") yield { path, text: value };
  else if (Array.isArray(value)) for (const [index, item] of value.entries()) yield* textsIn(item, [...path, index]);
  else if (isRaw(value))
    for (const [key, item] of Object.entries(value)) {
      if (looksSecret(key)) yield { path: [...path, key], text: key };
      yield* textsIn(item, [...path, key]);
    }
}

function isSecret(model: Block, settings: Raw, path: Path): boolean {
  const node = trace(model, settings, path)[path.length]?.node;
  return node !== undefined && "secret" in node && node.secret;
}

/** Whether a text may be a secret: a key, a variable with its value, a login before an @, or a word that looks random. */
export function looksSecret(text: string): boolean {
  const rest = text.replaceAll(/@?sha\d+:[0-9a-f]*/gi, "");
  return (
    /PRIVATE KEY/.test(rest) ||
    /^[A-Za-z_]\w*=./.test(rest) ||
    /(^|:\/\/)[^\s/@]+@|:[^\s/@:]+@/.test(rest) ||
    // Names of several words may be taken for random, which costs no more than their value in a message.
    (rest.match(/[A-Za-z0-9+=_]{16,}/g) ?? []).some((word) => changes(word, digitChange) >= 2 || changes(word, caseChange) >= 3) ||
    changes(rest, caseChange) >= 6
  );
}

const digitChange = /[A-Za-z](?=\d)|\d(?=[A-Za-z])/g;
const caseChange = /[a-z](?=[A-Z])|[A-Z](?=[a-z])/g;
const changes = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
