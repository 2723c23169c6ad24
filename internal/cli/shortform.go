package cli

import (
	"fmt"
	"strings"

	"goemu/internal/config"
)

// wordSyntax is what a word without a value means in an option's list.
type wordSyntax int

const (
	wordSwitch  wordSyntax = iota + 1 // the word is a switch that is on, or off after "no"
	wordFirst                         // so, but the first word is the value of a member whose name is left out
	wordMistake                       // a mistake, but for the first word
)

// wordSyntaxes has the options whose values are lists. Character devices look at theirs themselves.
var wordSyntaxes = map[string]wordSyntax{
	"drive": wordSwitch, "rtc": wordSwitch, "action": wordSwitch, "msg": wordSwitch, "overcommit": wordSwitch, "acpitable": wordSwitch, "smbios": wordSwitch, "add-fd": wordSwitch,
	"device": wordFirst, "object": wordFirst, "vnc": wordFirst, "mon": wordFirst, "m": wordFirst, "name": wordFirst, "fw_cfg": wordFirst,
	"sandbox": wordFirst, "accel": wordFirst, "numa": wordFirst, "net": wordFirst, "nic": wordFirst, "netdev": wordFirst, "fsdev": wordFirst,
	"virtfs": wordFirst, "trace": wordFirst, "option-rom": wordFirst, "machine": wordMistake, "smp": wordMistake, "boot": wordMistake,
}

// groupHelp has the options that list their members when "help" is among them, with their names in Groups.
var groupHelp = map[string]string{"rtc": "rtc", "msg": "msg", "overcommit": "overcommit", "add-fd": "add-fd", "action": "action", "vnc": "vnc", "boot": "boot-opts",
	"smp": "smp-opts", "global": "global", "chardev": "chardev"}

// modernNetdevs are the back ends of -netdev whose members all need values.
var modernNetdevs = []string{"stream,", "dgram,"}

// checkWords warns of switches that are written as words alone, or refuses them, and finds questions for the members.
func (p *parser) checkWords(row *option, list string) error {
	for i, e := range config.SplitElements(list) {
		if group := groupHelp[row.name]; group != "" && isHelp(e) && (i > 0 || row.name != "chardev") {
			return p.query(QueryGroup, group)
		}
	}
	syntax := wordSyntaxes[row.name]
	if syntax == 0 || strings.HasPrefix(list, "{") {
		return nil
	}
	for _, m := range modernNetdevs {
		if row.name == "netdev" && strings.HasPrefix(strings.TrimPrefix(list, "type="), m) {
			syntax = wordMistake
		}
	}
	for i, e := range config.SplitElements(list) {
		switch name, off := strings.CutPrefix(e, "no"); {
		case e == "" || strings.Contains(e, "=") || i == 0 && syntax != wordSwitch:
		case isHelp(e):
			return nil
		case syntax == wordMistake:
			return p.errorf("Expected '=' after parameter '%s'", e)
		default:
			value := "on"
			if off {
				value = "off"
			}
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s: warning: short-form boolean option '%s' deprecated\nPlease use %s=%s instead", p.origin, e, name, value))
		}
	}
	return nil
}
