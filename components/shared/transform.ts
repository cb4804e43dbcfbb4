/**
 * Changes the arguments of a child before it is created: the way to a field that no argument of the component covers.
 * It gets the finished arguments and returns those to use.
 */
export type Transform<Args> = (args: Args) => Args;

export function transformed<Args>(transform: Transform<Args> | undefined, args: Args): Args {
  return transform ? transform(args) : args;
}
