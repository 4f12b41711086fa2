import type { HostCapacity, Instance } from "@slipway/shared";
import { factsOf, type Obstacle } from "./facts.ts";
import { listText } from "./text.ts";

/** What the processor of `there` lacks for an instance that runs on host `from`, which is `here`. */
export function processor(instance: Instance, from: string, here: HostCapacity, there: HostCapacity): Obstacle[] {
  const about = factsOf(there);
  const features = (needed: readonly string[]): Obstacle[] => {
    const missing = needed.filter((f) => !about.features.has(f));
    if (missing.length === 0) return [];
    return [
      {
        rule: "cpu-feature",
        phrase: `has no CPU feature ${listText(missing)}`,
        fix: `give ${instance.name} a CPU model that all hosts can run`,
      },
    ];
  };
  if (seesProcessor(instance)) {
    if (here.cpuVendor !== there.cpuVendor || here.cpuModel !== there.cpuModel)
      return [
        {
          rule: "cpu-model",
          phrase: `has the CPU ${name(there)}, and ${instance.name} sees that of ${from} (${name(here)}) as it is`,
          fix: `give ${instance.name} a CPU model that all hosts can run`,
        },
      ];
    return features([...here.cpuFeatures, ...instance.cpuFeatures]);
  }
  const model = instance.cpuModel;
  if (model !== "" && !about.models.has(model) && !runsWithout(instance, here, there))
    return [
      {
        rule: "cpu-model",
        phrase: `is not able to run the CPU model ${model}`,
        fix: `give ${instance.name} a CPU model that all hosts can run`,
      },
    ];
  return features(instance.cpuFeatures);
}

/**
 * A guest with "host-model" runs a model less some features, on hosts that do not list the model as one that they can run. Another host
 * can do that too if its processor has all that the present one has; the last word is the target's, when it compares the two.
 * Emulated processors lack nothing by accident, so there the list counts.
 */
function runsWithout({ cpuModel, cpuDisabled, virtType }: Instance, here: HostCapacity, there: HostCapacity): boolean {
  if (virtType !== "kvm" || cpuDisabled.length === 0 || factsOf(here).models.has(cpuModel)) return false;
  const about = factsOf(there);
  return here.cpuVendor === there.cpuVendor && here.cpuFeatures.every((f) => about.features.has(f));
}

/**
 * May what went to `there` and sees its processor as it is come back to `here`? If not, the way was one-way: the guest has grown
 * features that the old host lacks.
 */
export function processorsAlike(here: HostCapacity, there: HostCapacity): boolean {
  const about = factsOf(here);
  return (
    here.cpuVendor === there.cpuVendor &&
    here.cpuModel === there.cpuModel &&
    there.cpuFeatures.every((f) => about.features.has(f))
  );
}

function name(host: HostCapacity): string {
  return [host.cpuVendor, host.cpuModel].filter((w) => w !== "").join(" ") || "unknown";
}

/** The guest is given the processor of its host as it is. */
export function seesProcessor(instance: Instance): boolean {
  return instance.cpuMode === "host-passthrough" || instance.cpuMode === "maximum";
}
