package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Group is an option that takes a list of parameters, as clients ask for it.
type Group struct {
	Name       string
	Parameters []Parameter
}

// Parameter is one of them; its type is string, boolean, number or size.
type Parameter struct{ Name, Type, Help, Default string }

// GroupHelp lists the members of a group, as its option's help does.
func GroupHelp(name string) string {
	types := map[string]string{"string": "str", "boolean": "bool (on/off)", "number": "num", "size": "size"}
	var lines []string
	for _, g := range Groups() {
		if g.Name != name {
			continue
		}
		for _, p := range g.Parameters {
			line := fmt.Sprintf("  %s=<%s>", p.Name, types[p.Type])
			if p.Help != "" {
				line = fmt.Sprintf("%-24s - %s", line, p.Help)
			}
			lines = append(lines, line+"\n")
		}
	}
	slices.Sort(lines)
	return name + " options:\n" + strings.Join(lines, "")
}

// Groups lists the options with parameters; one without parameters here takes any.
func Groups() []Group {
	texts := func(names ...string) (list []Parameter) {
		for _, n := range names {
			list = append(list, Parameter{Name: n, Type: "string"})
		}
		return list
	}
	numbers := func(names ...string) (list []Parameter) {
		for _, n := range names {
			list = append(list, Parameter{Name: n, Type: "number"})
		}
		return list
	}
	return []Group{
		{"machine", []Parameter{{"usb", "boolean", "", ""}, {"mem-merge", "boolean", "", ""}, {"dump-guest-core", "boolean", "", ""},
			{"kvm_shadow_mem", "size", "", ""}, {"kernel_irqchip", "boolean", "", ""},
			{"accel", "string", "accelerator list", ""}, {"type", "string", "emulated machine", ""}}},
		{"boot-opts", []Parameter{{"strict", "boolean", "", ""}, {"reboot-timeout", "number", "", ""}, {"splash-time", "number", "", ""}, {"splash", "string", "", ""},
			{"menu", "boolean", "", ""}, {"once", "string", "", ""}, {"order", "string", "", ""}}},
		{"drive", append(driveParameters, throttleParameters...)},
		{"fsdev", fsdevParameters},
		{"virtfs", append([]Parameter{{"mount_tag", "string", "", ""}}, fsdevParameters...)},
		{"vnc", []Parameter{{"power-control", "boolean", "", ""}, {"audiodev", "string", "", ""}, {"non-adaptive", "boolean", "", ""}, {"lossy", "boolean", "", ""},
			{"tls-authz", "string", "", ""}, {"key-delay-ms", "number", "", ""}, {"lock-key-sync", "boolean", "", ""},
			{"password-secret", "string", "", ""}, {"password", "boolean", "", ""}, {"ipv6", "boolean", "", ""}, {"ipv4", "boolean", "", ""}, {"to", "number", "", ""},
			{"connections", "number", "", ""}, {"head", "number", "", ""}, {"display", "string", "", ""}, {"share", "string", "", ""}, {"tls-creds", "string", "", ""},
			{"websocket", "string", "", ""}, {"vnc", "string", "", ""}}},
		{"smbios", nil},
		{"acpi", nil},
		{"action", texts("watchdog", "panic", "reboot", "shutdown")},
		{"fw_cfg", []Parameter{{"string", "string", "Sets content of the blob to be inserted from a string", ""},
			{"file", "string", "Sets the name of the file from which the fw_cfg blob will be loaded", ""},
			{"name", "string", "Sets the fw_cfg name of the blob to be inserted", ""}}},
		{"numa", nil},
		{"name", append(texts("process", "guest"), Parameter{Name: "debug-threads", Type: "boolean"})},
		{"object", nil},
		{"sandbox", append(texts("resourcecontrol", "spawn", "elevateprivileges", "obsolete"), Parameter{Name: "enable", Type: "boolean"})},
		{"msg", []Parameter{{"guest-name", "boolean", "Prepends guest name for error messages but only if -name guest is set otherwise option is ignored\n", ""}, {"timestamp", "boolean", "", ""}}},
		{"overcommit", []Parameter{{"cpu-pm", "boolean", "", ""}, {"mem-lock", "boolean", "", ""}}},
		{"add-fd", []Parameter{{"opaque", "string", "free-form string used to describe fd", ""},
			{"set", "number", "ID of the fd set to add fd to", ""},
			{"fd", "number", "file descriptor of which a duplicate is added to fd set", ""}}},
		{"smp-opts", numbers("maxcpus", "threads", "cores", "dies", "sockets", "cpus")},
		{"memory", []Parameter{{"maxmem", "size", "", ""}, {"slots", "number", "", ""}, {"size", "size", "", ""}}},
		{"accel", nil},
		{"trace", texts("file", "events", "enable")},
		{"mon", []Parameter{{"pretty", "boolean", "", ""}, {"chardev", "string", "", ""}, {"mode", "string", "", ""}}},
		{"global", texts("value", "property", "driver")},
		{"rtc", texts("driftfix", "clock", "base")},
		{"device", nil},
		{"chardev", chardevParameters},
		{"netdev", nil},
		{"nic", nil},
		{"net", nil},
	}
}

var chardevParameters = []Parameter{{"abstract", "boolean", "", ""}, {"tight", "boolean", "", "on"}, {"logappend", "boolean", "", ""},
	{"logfile", "string", "", ""}, {"append", "boolean", "", ""}, {"chardev", "string", "", ""}, {"size", "size", "", ""}, {"signal", "boolean", "", ""},
	{"mux", "boolean", "", ""}, {"rows", "number", "", ""}, {"cols", "number", "", ""}, {"height", "number", "", ""}, {"width", "number", "", ""},
	{"websocket", "boolean", "", ""}, {"tls-authz", "string", "", ""}, {"tls-creds", "string", "", ""}, {"telnet", "boolean", "", ""},
	{"reconnect", "number", "", ""}, {"nodelay", "boolean", "", ""}, {"delay", "boolean", "", ""}, {"server", "boolean", "", ""}, {"wait", "boolean", "", ""},
	{"ipv6", "boolean", "", ""}, {"ipv4", "boolean", "", ""}, {"to", "number", "", ""}, {"localport", "string", "", ""}, {"localaddr", "string", "", ""},
	{"fd", "string", "", ""}, {"port", "string", "", ""}, {"host", "string", "", ""}, {"path", "string", "", ""}, {"backend", "string", "", ""}}

var driveParameters = []Parameter{{"copy-on-read", "boolean", "", ""}, {"werror", "string", "", ""}, {"rerror", "string", "", ""}, {"read-only", "boolean", "", ""},
	{"file", "string", "", ""}, {"if", "string", "", ""}, {"media", "string", "", ""}, {"index", "number", "", ""}, {"unit", "number", "", ""}, {"bus", "number", "", ""},
	{"stats-account-failed", "boolean", "", ""}, {"stats-account-invalid", "boolean", "", ""}, {"detect-zeroes", "string", "", ""}, {"throttling.group", "string", "", ""},
	{"format", "string", "", ""}, {"cache.writeback", "boolean", "", ""}, {"aio", "string", "", ""}, {"snapshot", "boolean", "", ""}, {"force-share", "boolean", "", ""},
	{"discard", "string", "", ""}, {"auto-read-only", "boolean", "", ""}, {"cache.no-flush", "boolean", "", ""}, {"cache.direct", "boolean", "", ""},
	{"driver", "string", "", ""}, {"node-name", "string", "", ""}}

var fsdevParameters = []Parameter{{"dmode", "number", "", ""}, {"fmode", "number", "", ""}, {"multidevs", "string", "", ""}, {"readonly", "boolean", "", ""},
	{"writeout", "string", "", ""}, {"security_model", "string", "", ""}, {"path", "string", "", ""}, {"fsdriver", "string", "", ""}}

// throttleParameters are the limits of a drive.
var throttleParameters = func() []Parameter {
	list := []Parameter{{"throttling.iops-size", "number", "", ""}}
	for _, unit := range []string{"bps", "iops"} {
		for _, dir := range []string{"total", "read", "write"} {
			for _, suffix := range []string{"", "-max", "-max-length"} {
				list = append(list, Parameter{Name: "throttling." + unit + "-" + dir + suffix, Type: "number"})
			}
		}
	}
	return list
}()
