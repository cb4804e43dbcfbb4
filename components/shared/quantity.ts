const units = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, k: 1e3, M: 1e6, G: 1e9, T: 1e12, "": 1 } as const;

export const bytesPattern = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)$/;

/**
 * Returns the bytes of a Kubernetes quantity, such as 1048576 for `1Mi`.
 *
 * @throws RangeError if the text is not a quantity of bytes
 */
export function bytes(quantity: string): number {
  const [, number, unit] = bytesPattern.exec(quantity) ?? [];
  if (number === undefined) throw new RangeError(`${quantity} is not a quantity of bytes; use one such as 512Mi or 2Gi`);
  return Math.round(Number(number) * units[unit as keyof typeof units]);
}

/**
 * Returns bytes as a Kubernetes quantity, rounded up to whole mebibytes, as the API server writes it: with another spelling, every preview
 * would show a difference.
 */
export function quantity(byteCount: number): string {
  const mebibytes = Math.ceil(byteCount / units.Mi);
  if (mebibytes % 2 ** 20 === 0) return `${mebibytes / 2 ** 20}Ti`;
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`;
}

const durations = { h: 3600, m: 60, s: 1, ms: 0.001 } as const;

/**
 * Returns the seconds of a duration in Go's notation, such as 5400 for `1h30m`, rounded up.
 *
 * @throws RangeError if the text is not a duration
 */
export function seconds(duration: string): number {
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
  if (parts.length === 0 || parts.map(([text]) => text).join("") !== duration)
    throw new RangeError(`${duration} is not a duration; use one such as 10m or 1h30m`);
  return Math.ceil(parts.reduce((sum, [, number, unit]) => sum + Number(number) * durations[unit as keyof typeof durations], 0));
}

/** Returns the cores of a Kubernetes quantity, such as 0.5 for `500m`. */
export const cores = (value: string) => (value.endsWith("m") ? Number.parseInt(value, 10) / 1000 : Number(value));
