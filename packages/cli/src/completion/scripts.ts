import type { CompletionNode, Values } from "./tree.ts";

/** The command that the scripts ask for names; it prints nothing when the controller is away. */
export const NAMES_COMMAND = "__complete";

/** One word of a table in the scripts: what to offer in this place. */
function offer(values: Values): string {
  if (values === "file" || values === "directory" || values === "none") return `@${values}`;
  if ("words" in values) return values.words.join(" ");
  return `@names ${values.names}`;
}

/** `case` branches shared by both shells: the same syntax works in bash and zsh. */
function tables(nodes: readonly CompletionNode[]): string {
  const subcommands = nodes
    .filter((node) => node.subcommands.length > 0)
    .map((node) => `    '${node.path}') offer='${node.subcommands.join(" ")}' ;;`);
  const flags = nodes.map((node) => `    '${node.path}') offer='${node.options.map((o) => o.flag).join(" ")}' ;;`);
  const values = nodes.flatMap((node) =>
    node.options.flatMap((o) =>
      o.values === undefined ? [] : [`    '${node.path} ${o.flag}') offer='${offer(o.values)}' ;;`],
    ),
  );
  const operands = nodes.flatMap((node) =>
    node.operands.map((operand, i) => {
      const place = node.isVariadic && i === node.operands.length - 1 ? `'${node.path} '[0-9]*` : `'${node.path} ${i}'`;
      return `    ${place}) offer='${offer(operand)}' ;;`;
    }),
  );
  return `# Sets offer to what can stand in a place; empty when nothing is known of it.
_slipway_subcommands() {
  case "$1" in
${subcommands.join("\n")}
    *) offer='' ;;
  esac
}
_slipway_flags() {
  case "$1" in
${flags.join("\n")}
    *) offer='' ;;
  esac
}
_slipway_values() {
  case "$1 $2" in
${values.join("\n")}
    *) offer='' ;;
  esac
}
_slipway_operands() {
  case "$1 $2" in
${operands.join("\n")}
    *) offer='' ;;
  esac
}
# Reads the words before the cursor: path of the command, number of operands, the option that waits for its value.
_slipway_scan() {
  cmd='' operands=0 waiting='' config=''
  local word offer
  for word in "$@"; do
    if [ -n "$waiting" ]; then
      if [ "$waiting" = --config ]; then config=$word; fi
      waiting=''
      continue
    fi
    case "$word" in
      --*=*) ;;
      -*)
        _slipway_values "$cmd" "$word"
        if [ -n "$offer" ]; then waiting=$word; fi
        ;;
      *)
        _slipway_subcommands "$cmd"
        case " $offer " in
          *" $word "*) cmd="\${cmd:+$cmd }$word" ;;
          *) operands=$((operands + 1)) ;;
        esac
        ;;
    esac
  done
}
# What to offer for the word at the cursor.
_slipway_offer() {
  local current=$1
  if [ -n "$waiting" ]; then
    _slipway_values "$cmd" "$waiting"
  else
    case "$current" in
      -*) _slipway_flags "$cmd" ;;
      *)
        _slipway_subcommands "$cmd"
        if [ -z "$offer" ]; then _slipway_operands "$cmd" "$operands"; fi
        ;;
    esac
  fi
}
_slipway_names() {
  if [ -n "$config" ]; then
    slipway --config "$config" ${NAMES_COMMAND} "$1" 2>/dev/null
  else
    slipway ${NAMES_COMMAND} "$1" 2>/dev/null
  fi
}`;
}

export function bashScript(nodes: readonly CompletionNode[]): string {
  return `# bash completion of slipway. Load it with: source <(slipway completion bash)
${tables(nodes)}
_slipway() {
  local cmd operands waiting config offer current name kept
  current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  _slipway_scan "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  _slipway_offer "$current"
  case "$offer" in
    @file) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null ;;
    @directory) COMPREPLY=($(compgen -d -- "$current")); compopt -o filenames 2>/dev/null ;;
    @names*)
      kept=''
      case "$current" in *,*) [ -n "$waiting" ] && kept="\${current%,*}," ;; esac
      for name in $(_slipway_names "\${offer#@names }"); do
        case "$kept$name" in "$current"*) COMPREPLY+=("$kept$name") ;; esac
      done
      ;;
    @none | '') ;;
    *) COMPREPLY=($(compgen -W "$offer" -- "$current")) ;;
  esac
}
complete -F _slipway slipway
`;
}

export function zshScript(nodes: readonly CompletionNode[]): string {
  return `#compdef slipway
# zsh completion of slipway. Load it with: source <(slipway completion zsh), or save it as _slipway in your fpath.
${tables(nodes)}
_slipway() {
  local cmd operands waiting config offer current kept
  local -a found
  current=$words[CURRENT]
  if (( CURRENT > 2 )); then _slipway_scan "\${(@)words[2,CURRENT-1]}"; else _slipway_scan; fi
  _slipway_offer "$current"
  case "$offer" in
    @file) _files ;;
    @directory) _files -/ ;;
    @names*)
      found=(\${(f)"$(_slipway_names "\${offer#@names }")"})
      kept=''
      if [[ -n "$waiting" && "$current" == *,* ]]; then kept="\${current%,*},"; fi
      compadd -- \${found/#/$kept}
      ;;
    @none | '') ;;
    *) found=(\${=offer}); compadd -- $found ;;
  esac
}
if [ "$funcstack[1]" = "_slipway" ]; then _slipway "$@"; else compdef _slipway slipway; fi
`;
}
