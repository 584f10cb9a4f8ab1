/** Paragraphs that a screen reader is left with at once. */
const kept = 4;

/** Says what happens to people who do not see it: an answer paragraph by paragraph, as each is whole, not word by word. */
export class Announcer {
  readonly element = document.createElement('div');

  constructor() {
    this.element.className = 'unseen';
    this.element.setAttribute('role', 'status');
  }

  say(text: string): void {
    const said = text.trim();
    if (said === '') return;
    const paragraph = document.createElement('p');
    paragraph.textContent = said;
    this.element.append(paragraph);
    while (this.element.children.length > kept) this.element.firstElementChild?.remove();
  }
}
