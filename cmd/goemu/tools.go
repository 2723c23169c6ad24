package main

import (
	"os"

	"goemu/block"
	"goemu/block/driver"
	"goemu/cmd/goemu/nbd"
	"goemu/internal/tlscreds"
	"goemu/internal/tool"
)

// imageTool is a tool for disk images: a subcommand, or the whole program when it is called by QEMU's name for it.
type imageTool struct {
	name, command string
	run           func(t *tool.Tool, args []string) int
}

var imageTools = []imageTool{
	{"qemu-nbd", "nbd", nbd.Main},
}

// runImageTool runs the tool that the program was called as; it does not return if there is one.
func runImageTool(args []string) {
	for _, x := range imageTools {
		command := os.Args[0]
		switch {
		case progName() == x.name:
			args = append([]string{command}, args...)
		case len(args) > 0 && args[0] == x.command:
			command += " " + x.command
			args = append([]string{command}, args[1:]...)
		default:
			continue
		}
		t := tool.New(command, driver.All())
		addObjects(t)
		os.Exit(x.run(t, args))
	}
}

// addObjects gives a tool the user-creatable objects.
func addObjects(t *tool.Tool) {
	set := tlscreds.Set{}
	t.Objects = tool.Objects{}
	for kind := range tlscreds.Makers {
		t.Objects[kind] = func(id string, o *block.Options) error { return set.Add(kind, id, o) }
	}
	t.Graph.Object = func(id string) any { return set[id] }
}
