package cli

// Group is an option that takes a list of parameters, as clients ask for it.
type Group struct {
	Name       string
	Parameters []Parameter
}

// Parameter is one of them; its type is string, boolean, number or size.
type Parameter struct{ Name, Type, Help, Default string }

// Groups lists the options with parameters; one without parameters here takes any.
func Groups() []Group {
	strings := func(names ...string) (list []Parameter) {
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
		{"machine", []Parameter{{"accel", "string", "accelerator list", ""}, {"type", "string", "emulated machine", ""}}},
		{"smbios", nil},
		{"acpi", nil},
		{"action", strings("watchdog", "panic", "reboot", "shutdown")},
		{"fw_cfg", []Parameter{{"string", "string", "Sets content of the blob to be inserted from a string", ""},
			{"file", "string", "Sets the name of the file from which the fw_cfg blob will be loaded", ""},
			{"name", "string", "Sets the fw_cfg name of the blob to be inserted", ""}}},
		{"numa", nil},
		{"name", strings("guest")},
		{"object", nil},
		{"sandbox", append(strings("resourcecontrol", "spawn", "elevateprivileges", "obsolete"), Parameter{Name: "enable", Type: "boolean"})},
		{"msg", []Parameter{{"guest-name", "boolean", "Prepends guest name for error messages but only if -name guest is set otherwise option is ignored\n", ""}, {"timestamp", "boolean", "", ""}}},
		{"overcommit", []Parameter{{"cpu-pm", "boolean", "", ""}, {"mem-lock", "boolean", "", ""}}},
		{"add-fd", []Parameter{{"opaque", "string", "free-form string used to describe fd", ""},
			{"set", "number", "ID of the fd set to add fd to", ""},
			{"fd", "number", "file descriptor of which a duplicate is added to fd set", ""}}},
		{"smp-opts", numbers("maxcpus", "threads", "cores", "dies", "sockets", "cpus")},
		{"memory", []Parameter{{"maxmem", "size", "", ""}, {"slots", "number", "", ""}, {"size", "size", "", ""}}},
		{"accel", nil},
		{"trace", strings("file", "events", "enable")},
		{"mon", []Parameter{{"pretty", "boolean", "", ""}, {"chardev", "string", "", ""}, {"mode", "string", "", ""}}},
		{"global", strings("value", "property", "driver")},
		{"rtc", strings("driftfix", "clock", "base")},
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
