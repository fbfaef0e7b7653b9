"""Records how transformers renders chat templates.

    python chat.py --out chat.json

The templates are our own; each uses what the templates of a model family use.
The file is a JSON list, one template an item: source, special tokens, and for
every conversation and both values of add_generation_prompt the text, or null
where the template refuses. strftime_now tells 26 July 2024.

Made with transformers 5.2.0 and jinja2 3.1.6.
"""

import argparse
import datetime
import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template as compile_template

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

TEMPLATES = {
    # one line, roles in the text, answers opened on demand
    "marked turns": "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + eos_token + '\\n' }}{% endfor %}"
                    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    # a system text of the template's own where there is none
    "default system": """{%- if messages[0]['role'] != 'system' %}
    {{- '[system] You are terse.\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if loop.first and message.role == 'system' %}
        {{- '[system] ' + message.content | trim + '\\n' }}
    {%- else %}
        {{- '[' ~ message.role ~ '] ' ~ (message.content | trim) ~ '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[assistant] ' }}
{%- endif %}
""",
    # system text folded into the first question; strict alternation
    "folded system": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '{SYS}' + system_message + '{/SYS} ' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ '[Q] ' + content.strip() + ' [/Q]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    # a date, a default through 'is not defined', headers
    "dated": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\nToday: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
""",
    # a namespace that looks back from the end
    "last question": """{%- set ns = namespace(last=-1, seen=0) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and ns.last < 0 %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set ns.seen = ns.seen + 1 %}
    {{- '<turn ' ~ ns.seen ~ '/' ~ messages|length }}{{ ' last' if loop.index0 == ns.last else '' }}{{ '>' ~ message.content ~ '\\n' }}
{%- endfor %}
""",
    # indented blocks and line breaks: trim_blocks and lstrip_blocks
    "layout": """Start
  {% for message in messages %}
  {{ message['role'] | upper }}: {{ message['content'] }}
    {% if not loop.last %}
  ---
    {% endif %}
  {% endfor %}
{# a comment #}
  {%+ if add_generation_prompt %}
Answer: {% endif %}

End
""",
    # the assistant's part marked for training
    "generation": """{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ message.role }}> {{ message.content }}
{% endif %}{% endfor %}""",
    # a macro, and JSON
    "macro": """{%- macro show(role, text, mark='*') -%}
{{ mark }}{{ role }}{{ mark }} {{ text | tojson }}
{%- endmacro -%}
{%- for message in messages %}{{ show(message.role, message.content) }}
{{ show(message['role'], message['content'], mark='_') }}
{% endfor %}""",
    # texts: membership, replacing, methods, slices, defaults
    "texts": """{% for m in messages %}{% if m.role in ['user', 'system'] %}{% set c = m.content | replace('a', 'A') %}{{ c[:5] }}|{{ c[-3:] }}|{{ c | length }}|{{ c.startswith('W') }}|{{ m.name | default('nobody') }}{% elif 'Par' in m.content %}{{ m.content.split(' ') | join('_') }}{% else %}{{ m.content.lower() }}{% endif %};{% endfor %}""",
    # loops: range, break-free conditions, else
    "loops": """{% for i in range(1, 7, 2) %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}{% for m in messages if m.role == 'nobody' %}x{% else %} none{% endfor %}{% for m in messages %} {{ loop.index }}:{{ loop.revindex }}{% endfor %}{{ '\\n' }}""",
    # conditionals inside brackets, in a chain, without else; only what is needed is evaluated
    "conditionals": """{%- set names = {'user': 'Q', 'assistant': 'A' if add_generation_prompt else 'a'} %}
{%- for m in messages %}
    {{- (bos_token if loop.first else '') + '<' ~ (names[m.role] if m.role in names else m.role | upper) ~ '>' }}
    {{- m.content if loop.index0 == 0 else m.content | trim if loop.last else (m.content if m.content is string else m.content[0].text) }}
    {%- set mark = '!' if loop.last %}
    {{- [mark if mark else '.', 'x'][0] ~ ('' if loop.last) ~ "(if a: b else c)" }}
{%- endfor %}
{%- for m in (messages if messages|length > 2 else messages[:1]) if m.role == 'user' %}{{ '+' if loop.last else '-' }}{% endfor -%}
""",
    # methods of what stands in parentheses, items from the end, methods of texts as Python has them
    "methods": """{{- (messages[-1]['content'] | default('', true)).strip() ~ '|' ~ (messages | last).role ~ '|' ~ messages[-1].role ~ '|' ~ messages[ -2 ].role }}
{%- for m in messages %}
    {{- '\n' ~ (m.content.split(' ') | first).lower() ~ '|' ~ m.content.split()[-1] ~ '|' ~ m.content.split()|length ~ '|' ~ m.content.split('a', 1)[-1] }}
    {{- '|' ~ m.content.replace('a', 'A') ~ '|' ~ m.content.replace('a', '', 1) ~ '|' ~ m.content.count('a') ~ '|' ~ m.content.lstrip() ~ '|' ~ m.content.rstrip() }}
    {{- '|' ~ ("\x1f " ~ m.content ~ "\u2003\x1c").strip() ~ '|' ~ ("\x1f " ~ m.content ~ "\u2003\x1c") | trim ~ '|' ~ m.content.strip('?.W\n ') ~ '|' ~ ('a' ~ (1, 2)[1]) ~ (not (m.role == 'user')) }}
{%- endfor -%}
""",
    "refuses the system": """{% if messages[0].role == 'system' %}{{ raise_exception('no system text, please') }}{% endif %}{% for m in messages %}{{ m.content }}{{ '\\n\\n' }}{% endfor %}""",
}

CONVERSATIONS = [
    [("user", "What is the capital of France?")],
    [("system", "Answer in one word. "), ("user", "  Where is Lyon?\n")],
    [("user", "Hi"), ("assistant", "Hello, I am a small model."), ("user", "Name a city — any \"city\" <b>&amp;</b>.")],
    [("system", "Be brief."), ("user", "1 + 1?"), ("assistant", "2"), ("user", "Größe in 東京?\n\n"), ("assistant", "Paris? {no} {{no}}"), ("user", "\\n 'q'")],
    [("assistant", "I begin."), ("user", "You do.")],
]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    now = datetime.datetime(2024, 7, 26)
    items = []
    for name, source in TEMPLATES.items():
        template, rendered = compile_template(source), []
        for conversation in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in conversation]
            for prompt in (False, True):
                try:
                    text = template.render(messages=messages, add_generation_prompt=prompt, strftime_now=now.strftime, **SPECIAL)
                except Exception as error:
                    text = None
                    print(f"{name}: {error}")
                rendered.append({"messages": messages, "add_generation_prompt": prompt, "text": text})
        items.append({"name": name, "source": source, "special": SPECIAL, "rendered": rendered})
    args.out.write_text("[\n" + ",\n".join(json.dumps(i, ensure_ascii=False) for i in items) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
