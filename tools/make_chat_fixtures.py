#!/usr/bin/env python3
"""Makes tests/tokenizer/chat_cases.json: chat templates, conversations, and the prompts that Jinja gives.

    tools/make_chat_fixtures.py [OUT]     needs Python with jinja2 and transformers

The templates are those that model families were published with, written down in their short text-only
form (no tools, no images); `family` names the row of chatformats.def that writes the same text. The
snippets are one construct each. Both are rendered by transformers' own environment, so the expected texts
are not this project's. A case whose template raises has "refused": true instead of a text.
"""
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).resolve().parent
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
VICUNA = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")
CODER = ("You are an AI programming assistant, utilizing the DeepSeek Coder model, developed by DeepSeek "
         "Company, and you only answer questions related to computer science. For politically sensitive "
         "questions, security and privacy issues, and other non-computer science questions, you will "
         "refuse to answer.\\n")
DS_U, DS_A = "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
DS_B, DS_E = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
             "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}")

# name, family (None: only interpreted), bos, eos, template
TEMPLATES = [
    ("chatml", "chatml", "", "<|im_end|>",
     "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
     "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
     "{% endif %}"),
    ("qwen2", "qwen2", "", "<|im_end|>",
     "{%- if messages[0]['role'] == 'system' %}\n"
     "    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
     "{%- else %}\n"
     "    {{- '<|im_start|>system\\n" + QWEN + "<|im_end|>\\n' }}\n"
     "{%- endif %}\n"
     "{%- for message in messages %}\n"
     "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or "
     "(message.role == \"assistant\" and not message.tool_calls) %}\n"
     "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
     "    {%- elif message.role == \"tool\" %}\n"
     "        {{- '<tool_response>\\n' + message.content }}\n"
     "    {%- endif %}\n"
     "{%- endfor %}\n"
     "{%- if add_generation_prompt %}\n"
     "    {{- '<|im_start|>assistant\\n' }}\n"
     "{%- endif %}\n"),
    ("smollm2", "smollm2", "<|im_start|>", "<|im_end|>",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
     "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
     "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
     "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
     "{% endif %}"),
    ("llama2", "llama2", "<s>", "</s>",
     "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
     "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
     "{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + ALTERNATE +
     "{% if loop.index0 == 0 and system_message != false %}"
     "{% set content = '<<SYS>>\\n' + system_message.strip() + '\\n<</SYS>>\\n\\n' + "
     "message['content'].strip() %}{% else %}{% set content = message['content'].strip() %}{% endif %}"
     "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content + ' [/INST]' }}"
     "{% elif message['role'] == 'assistant' %}{{ ' ' + content + ' ' + eos_token }}{% endif %}"
     "{% endfor %}"),
    ("llama3", "llama3", "<|begin_of_text|>", "<|eot_id|>",
     "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
     "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
     "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
     "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"),
    ("llama3.1-date", None, "<|begin_of_text|>", "<|eot_id|>",
     "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n"
     "        {%- set date_string = \"26 Jul 2024\" %}\n    {%- else %}\n"
     "        {%- set date_string = \"26 Jul 2024\" %}\n    {%- endif %}\n{%- endif %}\n"
     "{#- This block extracts the system message. #}\n"
     "{%- if messages[0]['role'] == 'system' %}\n"
     "    {%- set system_message = messages[0]['content']|trim %}\n"
     "    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n"
     "{%- endif %}\n"
     "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n"
     "{%- if tools is not none %}\n    {{- \"Environment: ipython\\n\" }}\n{%- endif %}\n"
     "{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
     "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n"
     "{{- system_message }}\n{{- \"<|eot_id|>\" }}\n"
     "{%- for message in messages %}\n"
     "    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}\n"
     "        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ "
     "message['content'] | trim + '<|eot_id|>' }}\n"
     "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
     "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"),
    ("phi3", "phi3", "<s>", "<|endoftext|>",
     "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + "
     "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + "
     "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + "
     "message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}"
     "{{ '<|assistant|>\n' }}{% endif %}"),
    ("phi4", "phi4", "", "<|im_end|>",
     "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>'"
     " + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}"
     "{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == "
     "'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"),
    ("gemma2", None, "<bos>", "<eos>",
     "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not "
     "supported') }}{% endif %}{% for message in messages %}" + ALTERNATE +
     "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = "
     "message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + "
     "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}"
     "{% endif %}"),
    ("gemma3", "gemma", "<bos>", "<eos>",
     "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n"
     "    {%- if messages[0]['content'] is string -%}\n"
     "        {%- set first_user_prefix = messages[0]['content'] | trim + '\n\n' -%}\n"
     "    {%- else -%}\n"
     "        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}\n"
     "    {%- endif -%}\n    {%- set loop_messages = messages[1:] -%}\n{%- else -%}\n"
     "    {%- set first_user_prefix = \"\" -%}\n    {%- set loop_messages = messages -%}\n{%- endif -%}\n"
     "{%- for message in loop_messages -%}\n    " + ALTERNATE.replace("{%", "{%-").replace("%}", "-%}") +
     "\n    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = \"model\" -%}\n"
     "    {%- else -%}\n        {%- set role = message['role'] -%}\n    {%- endif -%}\n"
     "    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else \"\") }}\n"
     "    {%- if message['content'] is string -%}\n        {{ message['content'] | trim }}\n"
     "    {%- elif message['content'] is iterable -%}\n        {%- for item in message['content'] -%}\n"
     "            {{ item['text'] | trim }}\n        {%- endfor -%}\n    {%- endif -%}\n"
     "    {{ '<end_of_turn>\n' }}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n"
     "    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n"),
    ("mistral-v0.2", "mistral-v1", "<s>", "</s>",
     "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
     "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
     "{{- bos_token }}{%- for message in loop_messages %}" + ALTERNATE +
     "{%- if message['role'] == 'user' %}{%- if loop.first and system_message is defined %}"
     "{{- '[INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}{%- else %}"
     "{{- '[INST] ' + message['content'] + ' [/INST]' }}{%- endif %}"
     "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token}}{%- else %}"
     "{{- raise_exception('Only user and assistant roles are supported!') }}{%- endif %}{%- endfor %}"),
    ("mistral-v0.3", "mistral-v3", "<s>", "</s>",
     "{%- if messages[0][\"role\"] == \"system\" %}\n    {%- set system_message = messages[0][\"content\"] %}"
     "\n    {%- set loop_messages = messages[1:] %}\n{%- else %}\n    {%- set loop_messages = messages %}\n"
     "{%- endif %}\n{%- set user_messages = loop_messages | selectattr(\"role\", \"equalto\", \"user\") | "
     "list %}\n{%- set ns = namespace() %}\n{%- set ns.index = 0 %}\n"
     "{%- for message in loop_messages %}\n"
     "    {%- if not (message.role == \"tool\" or message.role == \"tool_results\" or "
     "(message.tool_calls is defined and message.tool_calls is not none)) %}\n"
     "        {%- if (message[\"role\"] == \"user\") != (ns.index % 2 == 0) %}\n"
     "            {{- raise_exception(\"roles must alternate\") }}\n        {%- endif %}\n"
     "        {%- set ns.index = ns.index + 1 %}\n    {%- endif %}\n{%- endfor %}\n"
     "{{- bos_token }}\n{%- for message in loop_messages %}\n    {%- if message[\"role\"] == \"user\" %}\n"
     "        {%- if loop.first and system_message is defined %}\n"
     "            {{- \"[INST] \" + system_message + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}\n"
     "        {%- else %}\n            {{- \"[INST] \" + message[\"content\"] + \"[/INST]\" }}\n"
     "        {%- endif %}\n    {%- elif message[\"role\"] == \"assistant\" %}\n"
     "        {{- \" \" + message[\"content\"] + eos_token}}\n    {%- else %}\n"
     "        {{- raise_exception(\"Only user and assistant roles are supported\") }}\n    {%- endif %}\n"
     "{%- endfor %}\n"),
    ("mistral-nemo", "mistral-v3-tekken", "<s>", "</s>",
     "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
     "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
     "{{- bos_token }}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
     "{%- if loop.first and system_message is defined %}"
     "{{- '[INST]' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}{%- else %}"
     "{{- '[INST]' + message['content'] + '[/INST]' }}{%- endif %}"
     "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token}}{%- endif %}"
     "{%- endfor %}"),
    ("mistral-v7", "mistral-v7", "<s>", "</s>",
     "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
     "{{- '[INST] ' + message['content'] + '[/INST]' }}{%- elif message['role'] == 'system' %}"
     "{{- '[SYSTEM_PROMPT] ' + message['content'] + '[/SYSTEM_PROMPT]' }}"
     "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token }}{%- else %}"
     "{{- raise_exception('Only user, system and assistant roles are supported!') }}{%- endif %}"
     "{%- endfor %}"),
    ("mistral-v7-tekken", "mistral-v7-tekken", "<s>", "</s>",
     "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
     "{{- '[INST]' + message['content'] + '[/INST]' }}{%- elif message['role'] == 'system' %}"
     "{{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
     "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token }}{%- endif %}"
     "{%- endfor %}"),
    ("zephyr", "zephyr", "<s>", "</s>",
     "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + "
     "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + "
     "message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'"
     "  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n"
     "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}\n"),
    ("vicuna", "vicuna", "<s>", "</s>",
     "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
     "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
     "{% set system_message = \"" + VICUNA + "\" %}{% endif %}{{ system_message + ' ' }}"
     "{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ 'USER: ' + "
     "message['content'] + ' ' }}{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + "
     "message['content'] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
     "{{ 'ASSISTANT:' }}{% endif %}"),
    ("deepseek-coder", "deepseek", DS_B, "<|EOT|>",
     "{% if not add_generation_prompt is defined %}\n{% set add_generation_prompt = false %}\n{% endif %}\n"
     "{%- set ns = namespace(found=false) -%}\n{%- for message in messages -%}\n"
     "    {%- if message['role'] == 'system' -%}\n        {%- set ns.found = true -%}\n    {%- endif -%}\n"
     "{%- endfor -%}\n{{bos_token}}{%- if not ns.found -%}\n{{'" + CODER + "'}}\n{%- endif %}\n"
     "{%- for message in messages %}\n    {%- if message['role'] == 'system' %}\n"
     "{{ message['content'] }}\n    {%- else %}\n        {%- if message['role'] == 'user' %}\n"
     "{{'### Instruction:\\n' + message['content'] + '\\n'}}\n        {%- else %}\n"
     "{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}\n        {%- endif %}\n"
     "    {%- endif %}\n{%- endfor %}\n{% if add_generation_prompt %}\n{{'### Response:\n'}}\n"
     "{%- endif %}"),
    ("deepseek-v2", "deepseek2", DS_B, DS_E,
     "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
     "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + "
     "message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + "
     "message['content'] + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + "
     "'\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"),
    ("deepseek-v3", "deepseek3", DS_B, DS_E,
     "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
     "{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}"
     "{%- for message in messages %}{%- if message['role'] == 'system' %}"
     "{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}"
     "{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}"
     "{%- set ns.is_tool = false -%}{{'" + DS_U + "' + message['content']}}{%- endif %}"
     "{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}"
     "{{'x' + message['content']}}{%- else %}{{'" + DS_A + "' + message['content'] + '" + DS_E + "'}}"
     "{%- endif %}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'" + DS_A +
     "'}}{% endif %}"),
    ("command-r", "command-r", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>",
     "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
     "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
     "{% set system_message = false %}{% endif %}{% if system_message != false %}"
     "{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message.strip() + '<|END_OF_TURN_TOKEN|>' }}"
     "{% endif %}{% for message in loop_messages %}" + ALTERNATE +
     "{% set content = message['content'] %}{% if message['role'] == 'user' %}"
     "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}"
     "{% elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + "
     "content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
     "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"),
    ("granite", "granite", "<|end_of_text|>", "<|end_of_text|>",
     "{%- for message in messages %}\n"
     "{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + "
     "'<|end_of_text|>\\n' }}\n{%- if loop.last and add_generation_prompt %}\n"
     "{{- '<|start_of_role|>assistant<|end_of_role|>' }}\n{%- endif %}\n{%- endfor %}"),
    ("glm4", "chatglm4", "", "<|endoftext|>",
     "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>{{ '\n' + message['content'] }}"
     "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"),
    ("exaone3", "exaone3", "[BOS]", "[|endofturn|]",
     "{% for message in messages %}{{ '[|' + message['role'] + '|]' + message['content'] }}"
     "{% if message['role'] == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}"
     "{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"),
    ("openchat", "openchat", "<s>", "<|end_of_turn|>",
     "{{ bos_token }}{% for message in messages %}{{ 'GPT4 Correct ' + message['role'].title() + ': ' + "
     "message['content'] + '<|end_of_turn|>'}}{% endfor %}{% if add_generation_prompt %}"
     "{{ 'GPT4 Correct Assistant:' }}{% endif %}"),
    ("qwen3", None, "", "<|im_end|>",
     "{%- if messages[0].role == 'system' %}\n    {{- '<|im_start|>system\\n' + messages[0].content + "
     "'<|im_end|>\\n' }}\n{%- endif %}\n"
     "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n"
     "{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n"
     "    {%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and "
     "not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
     "\n        {%- set ns.multi_step_tool = false %}\n        {%- set ns.last_query_index = index %}\n"
     "    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n"
     "    {%- if message.content is string %}\n        {%- set content = message.content %}\n"
     "    {%- else %}\n        {%- set content = '' %}\n    {%- endif %}\n"
     "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) %}\n"
     "        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}\n"
     "    {%- elif message.role == \"assistant\" %}\n        {%- set reasoning_content = '' %}\n"
     "        {%- if message.reasoning_content is string %}\n"
     "            {%- set reasoning_content = message.reasoning_content %}\n        {%- else %}\n"
     "            {%- if '</think>' in content %}\n"
     "                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n')"
     ".split('<think>')[-1].lstrip('\\n') %}\n"
     "                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n"
     "            {%- endif %}\n        {%- endif %}\n        {%- if loop.index0 > ns.last_query_index %}\n"
     "            {%- if loop.last or (not loop.last and reasoning_content) %}\n"
     "                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') "
     "+ '\\n</think>\\n\\n' + content.lstrip('\\n') }}\n            {%- else %}\n"
     "                {{- '<|im_start|>' + message.role + '\\n' + content }}\n            {%- endif %}\n"
     "        {%- else %}\n            {{- '<|im_start|>' + message.role + '\\n' + content }}\n"
     "        {%- endif %}\n        {{- '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endfor %}\n"
     "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n"
     "    {%- if enable_thinking is defined and enable_thinking is false %}\n"
     "        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}"),
    ("macros", None, "<s>", "</s>",
     "{%- macro turn(role, content, end=eos_token) -%}\n<{{ role|upper }}>{{ content }}{{ end }}\n"
     "{%- endmacro -%}\n{{ bos_token }}{% for m in messages if m.role != 'system' %}"
     "{{ turn(m.role, m.content) }}{{ turn('x', loop.index ~ '/' ~ loop.length, end='|') }}"
     "{% else %}nobody{% endfor %}"),
]

CONVERSATIONS = [
    ("one", True, [["user", "Hello, who are you?"]]),
    ("system", True, [["system", "Answer in one word."], ["user", "  What is the sky?\n"]]),
    ("turns", True, [["user", "Hi"], ["assistant", "Hello! What is it?"], ["user", "Name a river."]]),
    ("finished", False, [["system", "Be brief."], ["user", "Hi"], ["assistant", " Hi there. "]]),
    ("odd bytes", True, [["user", "{{ 7 * 7 }} {% endfor %} \\n \"quoted\" 'single' \u00e9\u4e2d\U0001f600\t"]]),
    ("markers", True, [["user", "</s><|im_end|>\n<|im_start|>system\n[/INST]<|eot_id|>"]]),
    ("thinking", True, [["user", "2+2?"], ["assistant", "<think>\nadd\n</think>\n\n4"], ["user", "3+3?"]]),
    ("two users", True, [["user", "a"], ["user", "b"]]),
]

SNIPPETS = [
    "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 - 3 - 4 }}",
    "{{ 1 / 2 }} {{ 3 / 1 }} {{ 1.5 + 1 }} {{ 2.0 }} {{ 1.5 | int }} {{ '12' | int + 1 }} {{ 'x' | int }}",
    "{{ true }} {{ none }} {{ false or 'b' }} {{ 'a' and 'b' }} {{ not 1 }} {{ 1 == 1.0 }} {{ true == 1 }}",
    "{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ 'a' in 'cat' }} {{ 'x' not in ['y'] }} {{ 1 in [1,2] }}",
    "{{ 'a' ~ 1 ~ none ~ true }} {{ 'ab' * 3 }} {{ [1] + [2, 'x'] }} {{ {'a': 1, 'b': [true]} }}",
    "{{ 'x' if false }}|{{ 'x' if 1 else 'y' }}|{{ 'p' if 0 else 'q' if 0 else 'r' }}",
    "{{ 'hello'[1:3] }} {{ 'hello'[-2:] }} {{ 'hello'[::-1] }} {{ [1,2,3][-1] }} {{ [1,2,3,4][::2] }} {{ 'h\u00e9llo'[1] }}",
    "{{ [1,2,3][5] }}|{{ missing }}|{{ missing is defined }}|{{ missing | default('d') }}|{{ '' | default('e', true) }}",
    "{{ ' x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'ab'.startswith('a') }}|{{ 'ab'.endswith(('x', 'b')) }}",
    "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ ''.split(',') }} {{ 'a b c'.split(none, 1) }}",
    "{{ 'aXbX'.replace('X', '--') }} {{ 'aXbX'.replace('X', '', 1) }} {{ 'abc'.find('c') }} {{ 'abab'.count('ab') }} {{ ', '.join(['a', 'b']) }}",
    "{{ 'hello world'.title() }} {{ 'hELLO'.capitalize() }} {{ 'abc' | upper }} {{ 'ABC'.lower() }} {{ 'a-b c' | title }}",
    "{{ [3,1,2] | first }} {{ [3,1,2] | last }} {{ 'abc' | length }} {{ [1,2] | count }} {{ [1,2] | reverse | list }}",
    "{{ [1,'a',none,true] | tojson }} {{ {'k': 'v\"\\n\u00e9<>&'} | tojson }} {{ 'x' | tojson }}",
    "{{ {'a': [1, {'b': 2}], 'c': {}} | tojson(indent=2) }} {{ [] | tojson(indent=4) }}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}",
    "{% for k, v in {'a': 1} | items %}{{ loop.index }}{{ k }}{{ v }}{% endfor %}{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b', 'z') }}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(2, 10, 3) %}{{ loop.first }}{{ loop.last }}{{ loop.index0 }}{{ loop.revindex }}{{ i }} {% endfor %}{{ range(3) | list }}",
    "{% for a in [1,2] %}{% for b in [3,4] %}{{ loop.index }}{{ a * b }},{% endfor %}{{ loop.length }};{% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}{% for x in [1,2,3] if x != 2 %}{{ loop.index }}{{ x }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in [1,2,3] %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = (1, 2) %}{{ t[1] }}{% set l = 3, 4 %}{{ l | length }}",
    "{% set body %}  in {{ 1 }} side  {% endset %}[{{ body }}]{% set b | upper %}low{% endset %}{{ b }}",
    "{% macro m(a, b='B') %}({{ a }}{{ b }}){% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}",
    "{% if 0 %}a{% elif '' %}b{% elif [0] %}c{% else %}d{% endif %}{% if not x is defined and 1 is number %}e{% endif %}",
    "{{ 'x' is string }}{{ {} is mapping }}{{ [] is iterable }}{{ none is none }}{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 1 is not none }}",
    "{{ 1 is boolean }}{{ true is boolean }}{{ true is true }}{{ 'a' is eq 'a' }}{{ 1 is in [1] }}{{ 1.0 is float }}{{ 2 is integer }}",
    "{{ [{'r': 'u', 'c': 1}, {'r': 'a', 'c': 2}] | selectattr('r', 'equalto', 'u') | map(attribute='c') | list }}",
    "{{ [{'r': 'u'}, {}] | selectattr('r', 'defined') | list | length }}{{ [{'r': 'u'}] | rejectattr('r', 'eq', 'u') | list }}{{ [1,0,2] | select | list }}",
    "{{ ['a', 'b'] | map('upper') | join('-') }}{{ [1, 2, 3] | join }}{{ [1,2,2,1] | unique | list }}",
    "  {% if true %}\n  indented\n  {% endif %}\n\tend\n",
    "a\n  {%- if true -%}  \n b \n {%- endif %}  \nc {{- ' d ' -}} e",
    "a {#- comment -#} b {# x #}\nc\n   {# lone #}\nd",
    "{% raw %}{{ not }} {% this %}{% endraw %}|{%+ if true %} x {% endif +%}\n|",
    "{{ 'a\\tb\\'c\\\\d\\x41\\u00e9\\q' }}{{ \"double 'q'\" }}{{ 'con' 'cat' }}",
    "{{ {'items': 3}['items'] }}{{ {'a': {'b': 5}}.a.b }}{{ {'a': {'b': 5}}['a']['b'] }}",
    "{{ [1, [2, 'it\\'s', \"q\"], {'k': none}] }}{{ ('a', 'b')[0] }}{{ 'it\"s' }}{{ ['\"x\\''] }}",
    "{{ ' lead' | trim }}{{ 5 | string + '!' }}{{ -3 | abs }}{{ 'a\nb\n\nc' | indent(2) }}{{ 'a\nb' | indent(3, true) }}",
    "{{ messages[0]['content'] | length }}{{ messages | length }}{{ messages[-1].role }}{{ messages[0].nothing is defined }}",
    "{% for m in messages %}{{ loop.cycle('odd', 'even') }}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% generation %}kept{% endgeneration %}{{ [] == [] }}{{ {'a':1} == {'a':1} }}{{ [1,[2]] == [1,[2]] }}{{ 'a' == 1 }}",
    "{{ missing.field }}", "{{ 1 + 'a' }}", "{{ none.x is defined }}", "{{ raise_exception('no: ' ~ 1) }}",
    "{{ 1 // 0 }}", "{{ ['a'].append('b') }}", "{% for a, b in [[1,2,3]] %}{% endfor %}", "{{ missing + 'a' }}",
]


def render(text, **names):
    try:
        return {"text": _compile_jinja_template(text).render(**names)}
    except Exception:  # whatever Jinja or the template raised
        return {"refused": True}


def names_for(messages, generate, bos, eos):
    names = {"messages": [{"role": r, "content": c} for r, c in messages],
             "add_generation_prompt": generate, "tools": None, "documents": None}
    if bos:
        names["bos_token"] = bos
    if eos:
        names["eos_token"] = eos
    return names


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "tests/tokenizer/chat_cases.json"
    templates = [{"name": n, "family": f, "bos": b, "eos": e, "template": t,
                  "prompts": [render(t, **names_for(m, g, b, e)) for _, g, m in CONVERSATIONS]}
                 for n, f, b, e, t in TEMPLATES]
    snippets = [dict(render(s, **names_for(CONVERSATIONS[2][2], True, "<s>", "</s>")), template=s)
                for s in SNIPPETS]
    data = {"conversations": [{"name": n, "answer": g, "messages": m} for n, g, m in CONVERSATIONS],
            "templates": templates, "snippets": snippets}
    out.write_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    refused = sum(p.get("refused", False) for t in templates for p in t["prompts"])
    print(f"{len(templates)} templates x {len(CONVERSATIONS)} conversations ({refused} refused), "
          f"{len(snippets)} snippets ({sum(s.get('refused', False) for s in snippets)} refused)")


if __name__ == "__main__":
    main()
