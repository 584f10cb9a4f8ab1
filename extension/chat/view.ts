import {
  commands,
  l10n,
  ThemeIcon,
  Uri,
  window,
  workspace,
  FileType,
  type Disposable,
  type LogOutputChannel,
  type QuickPickItem,
} from 'vscode';
import { escapeHtml } from '../webview/html.ts';
import { openPage } from '../webview/page.ts';
import type { Chat } from './chat.ts';
import { titleOf } from './conversation.ts';
import { fromPage, type ChatMessages } from './messages.ts';

const id = 'sightline.chat';

/** The chat's view and its commands. */
export function registerChatView(
  chat: Chat,
  extensionUri: Uri,
  log: LogOutputChannel,
): Disposable[] {
  const focus = (): Thenable<unknown> => commands.executeCommand(`${id}.focus`);
  return [
    window.registerWebviewViewProvider(id, {
      resolveWebviewView: (view) => {
        const { tell } = openPage<ChatMessages>(view.webview, {
          name: 'chat',
          extensionUri,
          first: () => escapeHtml(l10n.t('Loading…')),
          schema: fromPage,
          log,
          receive: (message) => {
            chat.receive(message).catch((error: unknown) => {
              log.error('The chat could not do what it was asked for', String(error));
            });
          },
        });
        chat.connect({
          tell,
          entitle: (title) => {
            view.description = title;
          },
        });
        view.onDidDispose(() => {
          chat.connect(undefined);
        });
      },
    }),
    window.onDidChangeActiveTextEditor((editor) => {
      chat.editorChanged(editor);
    }),
    commands.registerCommand('sightline.focusChat', focus),
    commands.registerCommand('sightline.newChat', async () => {
      await focus();
      chat.start();
    }),
    commands.registerCommand('sightline.showChats', async () => {
      await pickConversation(chat);
      await focus();
    }),
    commands.registerCommand('sightline.addToChat', async (target?: unknown, all?: unknown) => {
      const chosen = Array.isArray(all) ? all.filter((one) => one instanceof Uri) : [];
      const uris = chosen.length > 0 ? chosen : target instanceof Uri ? [target] : [];
      await focus();
      const editor = window.activeTextEditor;
      const isEditor = uris.length === 1 && uris[0]?.toString() === editor?.document.uri.toString();
      if (uris.length === 0 || (isEditor && editor?.selection.isEmpty === false)) {
        chat.attachSelection();
        return;
      }
      for (const uri of uris) chat.attachUri(uri, await kindOf(uri));
    }),
  ];
}

async function kindOf(uri: Uri): Promise<'file' | 'folder'> {
  try {
    const { type } = await workspace.fs.stat(uri);
    return (type & FileType.Directory) === 0 ? 'file' : 'folder';
  } catch {
    return 'file';
  }
}

/** Lets the user go to a conversation, and rename and delete others on the way. */
async function pickConversation(chat: Chat): Promise<void> {
  for (;;) {
    const picked = await pick(chat);
    if (picked === undefined) return;
    const { what, conversation, title } = picked;
    if (what === 'go') {
      if (conversation === undefined) chat.start();
      else chat.show(conversation);
      return;
    }
    if (conversation === undefined) continue;
    if (what === 'rename') {
      const name = await window.showInputBox({ title: l10n.t('Name of the Chat'), value: title });
      if (name !== undefined) chat.rename(conversation, name);
    } else {
      const yes = l10n.t('Delete');
      const question = l10n.t('Delete the chat "{0}"? This cannot be undone.', title);
      if ((await window.showWarningMessage(question, { modal: true }, yes)) === yes)
        chat.delete(conversation);
    }
  }
}

interface Picked {
  readonly what: 'go' | 'rename' | 'delete';
  /** Undefined: a new one. */
  readonly conversation: string | undefined;
  readonly title: string;
}

async function pick(chat: Chat): Promise<Picked | undefined> {
  const rename = { iconPath: new ThemeIcon('edit'), tooltip: l10n.t('Rename') };
  const remove = { iconPath: new ThemeIcon('trash'), tooltip: l10n.t('Delete') };
  const picker = window.createQuickPick<QuickPickItem & { readonly conversation?: string }>();
  picker.title = l10n.t('Chats');
  picker.placeholder = l10n.t('Go to a chat');
  picker.matchOnDescription = true;
  picker.items = [
    { label: l10n.t('New Chat'), iconPath: new ThemeIcon('add') },
    ...chat.conversations.map((one) => ({
      label: titleOf(one),
      description: new Date(one.changed).toLocaleString(),
      conversation: one.id,
      buttons: [rename, remove],
    })),
  ];
  const picked = await new Promise<Picked | undefined>((resolve) => {
    picker.onDidHide(() => {
      resolve(undefined);
    });
    picker.onDidAccept(() => {
      const [item] = picker.selectedItems;
      if (item === undefined) return;
      resolve({ what: 'go', conversation: item.conversation, title: item.label });
    });
    picker.onDidTriggerItemButton(({ item, button }) => {
      const what = button === rename ? 'rename' : 'delete';
      resolve({ what, conversation: item.conversation, title: item.label });
    });
    picker.show();
  });
  picker.dispose();
  return picked;
}
