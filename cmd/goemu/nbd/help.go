package nbd

import (
	"fmt"

	proto "goemu/block/nbdproto"
	"goemu/internal/tool"
)

// helpSection is a group of options in the help.
type helpSection struct {
	title string
	rows  [][2]string // option, explanation of one or more lines
}

// helpColumn is where explanations begin; a longer option has its explanation on the next line.
const helpColumn = 28

var helpSections = []helpSection{
	{"", [][2]string{
		{"-h, --help", "display this help and exit"},
		{"-V, --version", "output version information and exit"},
	}},
	{"Connection properties", [][2]string{
		{"-p, --port=PORT", "port to listen on (default `%d')"},
		{"-b, --bind=IFACE", "interface to bind to (default `0.0.0.0')"},
		{"-k, --socket=PATH", "path to the unix socket\n(default '/var/lock/qemu-nbd-DEVICE')"},
		{"-e, --shared=NUM", "device can be shared by NUM clients (default '1')"},
		{"-t, --persistent", "don't exit on the last connection"},
		{"-v, --verbose", "display extra debugging information"},
		{"-x, --export-name=NAME", "expose export by name (default is empty string)"},
		{"-D, --description=TEXT", "export a human-readable description"},
	}},
	{"Exposing part of the image", [][2]string{
		{"-o, --offset=OFFSET", "offset into the image"},
		{"-A, --allocation-depth", "expose the allocation depth"},
		{"-B, --bitmap=NAME", "expose a persistent dirty bitmap"},
	}},
	{"General purpose options", [][2]string{
		{"-L, --list", "list exports available from another NBD server"},
		{"--object type,id=ID,...", "define an object such as 'secret' for providing\npasswords and/or encryption keys"},
		{"--tls-creds=ID", "use id of an earlier --object to provide TLS"},
		{"--tls-authz=ID", "use id of an earlier --object to provide\nauthorization"},
		{"-T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]", "specify tracing options"},
		{"--fork", "fork off the server process and exit the parent\nonce the server is running"},
		{"--pid-file=PATH", "store the server's process ID in the given file"},
		{"--selinux-label=LABEL", "set SELinux process label on listening socket"},
	}},
	{"Kernel NBD client support", [][2]string{
		{"-c, --connect=DEV", "connect FILE to the local NBD device DEV"},
		{"-d, --disconnect", "disconnect the specified device"},
	}},
	{"Block device options", [][2]string{
		{"-f, --format=FORMAT", "set image format (raw, qcow2, ...)"},
		{"-r, --read-only", "export read-only"},
		{"-s, --snapshot", "use FILE as an external snapshot, create a temporary\nfile with backing_file=FILE, redirect the write to\nthe temporary one"},
		{"-l, --load-snapshot=SNAPSHOT_PARAM", "load an internal snapshot inside FILE and export it\nas an read-only device, SNAPSHOT_PARAM format is\n" +
			"'snapshot.id=[ID],snapshot.name=[NAME]', or\n'[ID_OR_NAME]'"},
		{"-n, --nocache", "disable host cache"},
		{"    --cache=MODE", "set cache mode used to access the disk image, the\nvalid options are: 'none', 'writeback' (default),\n" +
			"'writethrough', 'directsync' and 'unsafe'"},
		{"    --aio=MODE", "set AIO mode (native, io_uring or threads)"},
		{"    --discard=MODE", "set discard mode (ignore, unmap)"},
		{"    --detect-zeroes=MODE", "set detect-zeroes mode (off, on, unmap)"},
		{"    --image-opts", "treat FILE as a full set of image options"},
	}},
}

func (c *command) help() {
	c.Printf("Usage: %s [OPTIONS] FILE\n  or:  %[1]s -L [OPTIONS]\nQEMU Disk Network Block Device Utility\n", c.Command)
	for _, s := range helpSections {
		c.Printf("\n")
		if s.title != "" {
			c.Printf("%s:\n", s.title)
		}
		for _, r := range s.rows {
			c.helpRow(r[0], r[1])
		}
	}
	c.Printf("\nSee <https://qemu.org/contribute/report-a-bug> for how to report bugs.\nMore information on the QEMU project at <https://qemu.org>.\n")
}

func (c *command) helpRow(option, text string) {
	line := "  " + option
	if len(line) < helpColumn {
		line = fmt.Sprintf("%-*s", helpColumn, line)
	} else {
		line += fmt.Sprintf("\n%*s", helpColumn, "")
	}
	for _, r := range text {
		line += string(r)
		if r == '\n' {
			line += fmt.Sprintf("%*s", helpColumn, "")
		}
	}
	if option[1] == 'p' {
		line = fmt.Sprintf(line, proto.DefaultPort)
	}
	c.Printf("%s\n", line)
}

func (c *command) version() {
	c.Printf("%s %s\n", c.Name, tool.Version)
}
