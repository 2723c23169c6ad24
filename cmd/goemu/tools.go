package main

import (
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"goemu/block/driver"
	"goemu/cmd/goemu/img"
	"goemu/cmd/goemu/nbd"
	"goemu/cmd/goemu/qio"
	"goemu/internal/tool"
	"goemu/internal/userobj"
)

// toolRow is a tool that is called by its own name (a link to the program) or as a subcommand.
type toolRow struct {
	name, verb, short string
	main              func(t *tool.Tool, args []string) int
}

var tools = []toolRow{
	{"qemu-img", "img", "Create, convert, check and change disk images", img.Main},
	{"qemu-io", "io", "Read and write disk images by commands", qio.Main},
	{"qemu-nbd", "nbd", "Export disk images over the network", nbd.Main},
	{"qemu-storage-daemon", "storage-daemon", "Export disk images and run block jobs without a machine", storageMain},
}

// runTool runs the tool and does not return.
func (r *toolRow) runTool(name string, args []string) {
	runtime.UnlockOSThread()
	t := tool.New(name, driver.All())
	if name == r.name {
		t.Command = os.Args[0]
	}
	addObjects(t)
	os.Exit(r.main(t, append([]string{name}, args...)))
}

// toolNamed finds the tool that the program was called as, or nil.
func toolNamed(name string) *toolRow {
	for i := range tools {
		if tools[i].name == name {
			return &tools[i]
		}
	}
	return nil
}

// toolCommands are the subcommands of the tools. Their options are not cobra's.
func toolCommands() (cmds []*cobra.Command) {
	for i := range tools {
		r := &tools[i]
		cmds = append(cmds, &cobra.Command{Use: r.verb, Short: r.short, DisableFlagParsing: true,
			Run: func(_ *cobra.Command, args []string) { r.runTool("goemu "+r.verb, args) }})
	}
	return cmds
}

// addObjects gives a tool the user-creatable objects.
func addObjects(t *tool.Tool) {
	t.Objects = new(userobj.Set)
	t.Objects.Types = toolObjectTypes(t.Objects.Find)
	t.Graph.Object = t.Objects.Find
}
