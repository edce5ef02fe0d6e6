// The chat beside the call: the news says that a line was written, the lines are fetched.
import { get, newId, post } from "../lib/api.js";
import { live } from "../lib/live.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const box = document.querySelector("[data-chat]");
if (box) {
  const lines = box.querySelector("[data-chat-lines]");
  const form = box.querySelector("[data-chat-form]");
  const line = live();

  const refresh = async () => {
    const { messages } = await get(box.dataset.url).catch(() => ({ messages: null }));
    if (!messages) return;
    if (messages.length > lines.children.length && lines.children.length) box.open = true;
    lines.replaceChildren(...messages.map((message) => {
      const item = document.createElement("li");
      const from = document.createElement("strong");
      from.textContent = `${word(`role_${message.role}`)}: `;
      item.append(from, message.text);
      return item;
    }));
  };

  let pending = null; // the same id is sent again after a failure, so that a line is stored once
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = form.elements.text;
    if (!field.value.trim()) return;
    pending ??= { message_id: newId(), text: field.value };
    pending.text = field.value;
    try {
      await post(box.dataset.url, pending);
      pending = null;
      field.value = "";
    } catch (error) {
      say(error.sentence, "error");
    }
    refresh();
  });

  line.watch(box.dataset.room);
  line.on("chat:written", () => { box.open = true; refresh(); });
  line.onGap(refresh);
  refresh();
}
