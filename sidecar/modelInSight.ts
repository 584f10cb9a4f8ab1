import { ChatTemplate } from './chat/template.ts';
import { canFillInTheMiddle } from './completion/fim.ts';
import type { LoadedModel } from './engine/engine.ts';
import type { ModelInSight } from './protocol.ts';

/** A loaded model as clients see it. */
export function modelInSight({ native, options }: LoadedModel): ModelInSight {
  const { info } = native;
  const { name, architecture, parameters, fileBytes, contextTokens, trainedTokens, gpu } = info;
  const template = ChatTemplate.of(info);
  return {
    ...{ name, path: options.modelPath, architecture, parameters, fileBytes },
    ...{ contextTokens, trainedTokens },
    canChat: template.ok,
    canCallTools: template.ok && template.value.takesTools,
    canFillInTheMiddle: canFillInTheMiddle(info.fim),
    ...(gpu === undefined ? {} : { gpu: gpu.name }),
  };
}
