/** A message in protobuf's wire format, of fields that are texts or messages themselves. */
export const message = (...fields: readonly (readonly [number: number, value: string | Buffer])[]): Buffer =>
  Buffer.concat(
    fields.map(([number, value]) => {
      const body = Buffer.from(value as string);
      return Buffer.concat([varint(number * 8 + 2), varint(body.length), body]);
    }),
  );

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) + 0x80);
  return Buffer.from([...bytes, value]);
}
