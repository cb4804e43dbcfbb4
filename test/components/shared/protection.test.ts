import { expect } from "chai";
import { kubernetesObject } from "../../../recorder/record.ts";
import { type Deployed, deploy } from "../../support/service.ts";
import { services } from "../../support/services.ts";

/** The kinds of objects whose deletion loses data. */
const holdsData = ["Namespace", "PersistentVolumeClaim"];

const options = ({ resources }: Deployed) =>
  resources.flatMap((resource) => {
    const { kind = "" } = kubernetesObject(resource) ?? {};
    const { protect, retainOnDelete } = resource;
    return resource.custom ? [{ name: resource.name, data: holdsData.includes(kind), protect, retainOnDelete }] : [];
  });

describe("protection from deletion", () => {
  for (const [title, service] of Object.entries(services)) {
    it(`with ${title}, exactly the namespace and the volume claims are protected and retained`, async () => {
      for (const { name, data, protect, retainOnDelete } of options(await deploy(service))) {
        expect(protect === true, `${name} is protected`).to.equal(data);
        expect(retainOnDelete === true, `${name} is retained`).to.equal(data);
      }
    });

    it(`with ${title}, nothing is protected when protect is false`, async () => {
      for (const { name, protect, retainOnDelete } of options(await deploy({ ...service, protect: false })))
        expect([protect, retainOnDelete], name).to.deep.equal([undefined, undefined]);
    });
  }

  it("a StatefulSet has no claim templates, whose claims no option could protect", async () => {
    for (const service of Object.values(services))
      for (const { spec } of (await deploy(service)).all("StatefulSet")) expect(spec).not.to.have.property("volumeClaimTemplates");
  });
});
