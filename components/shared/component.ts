import * as pulumi from "@pulumi/pulumi";
import { project } from "./parts.ts";
import { markSecrets } from "./secrets.ts";
import { type Transform, transformed } from "./transform.ts";

type ResourceClass = new (name: string, args: never, options?: never) => pulumi.Resource;

/** The same for a call with arguments that `create` has checked. */
type AnyResourceClass = new (name: string, args: object, options: pulumi.ResourceOptions) => pulumi.Resource;

export interface Several<Class extends ResourceClass> {
  readonly class: Class;
  readonly several: true;
}

export interface Optional<Class extends ResourceClass> {
  readonly class: Class;
  readonly optional: true;
}

/** A child that a component creates only with certain arguments; `undefined` in `nodes` otherwise. */
export const optional = <Class extends ResourceClass>(resource: Class): Optional<Class> => ({ class: resource, optional: true });

/** Children of one kind; a list in `nodes`, in the order of their creation. Their transform is applied to each of them. */
export const several = <Class extends ResourceClass>(resource: Class): Several<Class> => ({ class: resource, several: true });

type Child = ResourceClass | Several<ResourceClass> | Optional<ResourceClass>;

/** The children of a component by key. The key in kebab case is the second part of the child's logical name. */
export type Children = Readonly<Record<string, Child>>;

type ClassOf<C extends Child> = C extends Several<infer Class> | Optional<infer Class> ? Class : C extends ResourceClass ? C : never;
type NodeOf<C extends Child> = InstanceType<ClassOf<C>>;
type ArgsOf<C extends Child> = NonNullable<ConstructorParameters<ClassOf<C>>[1]>;

/** The resources that a component has created, by key. */
export type Nodes<Of extends Children> = {
  readonly [Key in keyof Of]: Of[Key] extends Several<ResourceClass>
    ? readonly NodeOf<Of[Key]>[]
    : Of[Key] extends Optional<ResourceClass>
      ? NodeOf<Of[Key]> | undefined
      : NodeOf<Of[Key]>;
};

/** A transform for each child of a component; for a child that is a component itself, the transforms of its children. */
export type Transforms<Of extends Children> = {
  readonly [Key in keyof Of]?: "transform" extends keyof ArgsOf<Of[Key]> ? ArgsOf<Of[Key]>["transform"] : Transform<ArgsOf<Of[Key]>>;
};

/** What the base class must know of a component. */
interface Definition<Args, Of extends Children> {
  readonly children: Of;
  /** The arguments that are settings of the user: they are stored in the state and shown by `npm start`. The others connect components. */
  readonly settings: readonly (keyof Args)[];
}

/**
 * Base of all components. It marks secrets in the arguments once, names the children after their component, applies their transforms, and
 * makes them reachable in `nodes`.
 */
export abstract class Component<
  Args extends { readonly transform?: Transforms<Of> | undefined },
  Of extends Children,
> extends pulumi.ComponentResource {
  /** The resources that this component has created. */
  readonly nodes: Nodes<Of>;
  /** The arguments, with every secret marked as one. */
  protected readonly args: Args;
  /** The resources in this component's `dependsOn`; Pulumi does not make its children wait for them. */
  protected readonly dependencies: readonly pulumi.Resource[];
  readonly #name: string;
  readonly #children: Of;
  readonly #created: Record<string, pulumi.Resource | pulumi.Resource[] | undefined>;

  /** `type` is the component's class; its type token is `trivy-server:index:<type>`. */
  constructor(
    type: string,
    name: string,
    args: Args,
    { children, settings }: Definition<Args, Of>,
    options?: pulumi.ComponentResourceOptions,
  ) {
    const marked = markSecrets(args);
    super(`${project}:index:${type}`, name, Object.fromEntries(settings.map((key) => [key, marked[key]])), options);
    this.args = marked;
    this.dependencies = [options?.dependsOn ?? []].flat() as pulumi.Resource[];
    this.#name = name;
    this.#children = children;
    this.#created = Object.fromEntries(Object.entries(children).map(([key, child]) => [key, "several" in child ? [] : undefined]));
    this.nodes = this.#created as Nodes<Of>;
  }

  /**
   * Creates a child, named after the component and its key, or another suffix; an empty one gives it the component's own name.
   */
  protected create<Key extends keyof Of & string>(
    key: Key,
    args: Omit<ArgsOf<Of[Key]>, "transform">,
    options: pulumi.CustomResourceOptions = {},
    suffix: string = kebabCase(key),
  ): NodeOf<Of[Key]> {
    const child = this.#children[key] as Child;
    const Class = ("class" in child ? child.class : child) as unknown as AnyResourceClass;
    const name = suffix === "" ? this.#name : `${this.#name}-${suffix}`;
    const transform = this.args.transform?.[key];
    const own: pulumi.CustomResourceOptions = { ...options, parent: this };
    const resource =
      Class.prototype instanceof Component
        ? new Class(name, { ...args, transform }, own)
        : new Class(name, transformed(transform as Transform<object> | undefined, name, args, own), own);
    const created = this.#created[key];
    if (Array.isArray(created)) created.push(resource);
    else this.#created[key] = resource;
    return resource as NodeOf<Of[Key]>;
  }

  protected override registerOutputs(outputs?: pulumi.Inputs | Promise<pulumi.Inputs> | pulumi.Output<pulumi.Inputs>): void {
    super.registerOutputs(outputs);
    // The SDK calls this without outputs, also for a component whose constructor has failed.
    const missing =
      outputs && Object.keys(this.#children).find((key) => !this.#created[key] && !("optional" in (this.#children[key] as Child)));
    if (missing) throw new Error(`${this.constructor.name} has not created its ${missing}`);
  }
}

const kebabCase = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
