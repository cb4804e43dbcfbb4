import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { record } from "/work/main/commands/recorder.ts";
class C extends pulumi.ComponentResource { constructor(n:string, args: object, o?: object){ super("a:index:C", n, args, o);
 const ns = new k8s.core.v1.Namespace(`${n}-ns`, {metadata:{name:"trivy"}}, {parent:this});
 const pw = new random.RandomPassword(`${n}-pw`, {length:32, special:false}, {parent:this});
 const s = new k8s.core.v1.Secret(`${n}-secret`, {metadata:{namespace: ns.metadata.name}, stringData:{password: pw.result}}, {parent:this});
 for (let i=0;i<16;i++) new k8s.apps.v1.Deployment(`${n}-d${i}`, {metadata:{namespace:ns.metadata.name, name:`d${i}`}, spec:{selector:{matchLabels:{a:"b"}}, template:{metadata:{labels:{a:"b"}}, spec:{containers:[{name:"x",image:"y",env:[{name:"P",valueFrom:{secretKeyRef:{name:s.metadata.name,key:"password"}}}]}]}}}}, {parent:this});
 this.registerOutputs({ns: ns.metadata.name});
}}
const run = () => record(() => new C("c", {a:1}));
const first = await run(); console.log(first.resources.length, JSON.stringify(first.resources[4],null,0));
for (let i=0;i<20;i++) await run();
const t=performance.now(); const n=Number(process.argv[2]??200); for (let i=0;i<n;i++) await run(); console.log((performance.now()-t)/n,"ms");
