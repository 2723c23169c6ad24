package main

import (
	"fmt"
	"strings"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/cli"
	"goemu/internal/monitor/devicecmd"
	"goemu/internal/trace"
	"goemu/target/x86"
)

// answer prints what a query asks for.
func answer(req *cli.Request) error {
	text, err := answerText(req)
	fmt.Print(text)
	return err
}

func answerText(req *cli.Request) (string, error) {
	switch req.Query {
	case cli.QueryHelp:
		return versionText() + req.Usage, nil
	case cli.QueryVersion:
		return versionText(), nil
	case cli.QueryMachines:
		return pc.Help(), nil
	case cli.QueryMachine:
		t := pc.Find(req.Subject)
		if t == nil {
			return "", errNoMachine
		}
		return t.HelpProps(), nil
	case cli.QueryCPUs:
		return x86.ModelsHelp(), nil
	case cli.QueryAccels:
		return "Accelerators supported in QEMU binary:\nqtest\ntcg\nkvm\n", nil
	case cli.QueryDevices:
		return devicecmd.List(registry(new(misc.Hooks))), nil
	case cli.QueryDevice:
		c := registry(new(misc.Hooks)).Lookup(req.Subject)
		if c == nil || c.Internal {
			complain(fmt.Sprintf("-device %s,help: Device '%s' not found", req.Subject, req.Subject)) // no failure in QEMU, either
			return "", nil
		}
		return qdev.Help(c), nil
	case cli.QueryObjects:
		return "List of user creatable objects:\n  " + strings.Join(objectNames(), "\n  ") + "\n", nil
	case cli.QueryObject:
		return objectHelp(req.Subject)
	case cli.QueryTraceEvents:
		return trace.List(), nil
	case cli.QueryChardevs:
		return chardev.Help(), nil
	case cli.QueryGroup:
		return cli.GroupHelp(req.Subject), nil
	case cli.QueryNetdevs:
		return netKinds(nil).Help(), nil
	case cli.QueryDisplays:
		return "Available display backend types:\nnone\ncurses\n", nil
	case cli.QueryDataDirs:
		return strings.Join(dataDirs(&req.VM), "\n") + "\n", nil
	case cli.QueryAudio:
		return "Available audio drivers:\nnone\n", nil
	case cli.QueryVGA:
		return vgaHelp(), nil
	case cli.QueryLogItems:
		return logHelp(), nil
	case cli.QueryFormats:
		names := block.NewGraph(driver.All()).DriverNames()
		return "Supported formats: " + names + "\nSupported formats (read-only): " + names + "\n", nil
	}
	panic("BUG: query without an answer")
}
