package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// dimmSteps are commands about memory modules: most device_add are refused.
func dimmSteps() string {
	var b strings.Builder
	add := func(props string) {
		fmt.Fprintf(&b, `{"execute":"device_add","arguments":{"driver":"pc-dimm",%s}}`, props)
	}
	hmp := func(line string) {
		fmt.Fprintf(&b, `{"execute":"human-monitor-command","arguments":{"command-line":%q}}`, line)
	}
	b.WriteString(`{"execute":"qmp_capabilities"}`)
	add(`"id":"a"`)
	add(`"id":"a","memdev":"m0"`)
	add(`"id":"b","memdev":"m0"`)
	for _, p := range []string{`"slot":0`, `"slot":9`, `"node":3`, `"addr":5368713216`, `"addr":39728447488`, `"addr":5368709120`, `"slot":2,"addr":5502926848`} {
		add(`"id":"b","memdev":"m1",` + p)
	}
	add(`"memdev":"big"`)
	add(`"id":"c","memdev":"odd"`)
	add(`"id":"c","memdev":"m2"`)
	add(`"id":"d","memdev":"m3"`)
	for _, l := range []string{"info memory-devices", "info numa", "info memory_size_summary"} {
		hmp(l)
	}
	b.WriteString(`{"execute":"query-memory-devices"}{"execute":"query-acpi-ospm-status"}{"execute":"device_del","arguments":{"id":"a"}}{"execute":"object-del","arguments":{"id":"m0"}}{"execute":"quit"}`)
	return b.String()
}

// TestDIMMs compares with QEMU which memory modules are taken and what is said of them.
func TestDIMMs(t *testing.T) {
	goemu, qemu := testprog.Goemu(t), testprog.QEMU(t)
	for _, options := range []string{"-m 128M,slots=3,maxmem=1G", "-M q35 -m 128M,slots=3,maxmem=1G -device pc-dimm,memdev=m2,id=cold", "-m 128M", "-no-acpi -m 128M,slots=3,maxmem=1G",
		"-m 128M,maxmem=1G", "-m 128M,slots=2,maxmem=128M", "-m 128M,slots=2,maxmem=1G -device pc-dimm,memdev=m1,node=1"} {
		require.Equal(t, dimmSaid(qemu, options), dimmSaid(goemu, options), options)
	}
}

// dimmSaid is what a program with such options answers to the steps, its messages, and how it ended when that was not well.
func dimmSaid(program, options string) string {
	args := append([]string{"-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"}, strings.Fields(options)...)
	for _, o := range []string{"m0,size=128M", "m1,size=64M", "m2,size=128M", "m3,size=64M", "big,size=2G", "odd,size=1M"} {
		args = append(args, "-object", "memory-backend-ram,id="+o)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(dimmSteps())
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	said := strings.ReplaceAll(errs.String(), filepath.Base(program), "QEMU")
	if err != nil {
		said += err.Error() + "\n"
	}
	for line := range strings.Lines(string(out)) {
		var reply map[string]any
		if json.Unmarshal([]byte(line), &reply) == nil && (reply["return"] != nil || reply["error"] != nil) {
			b, _ := json.Marshal(reply)
			said += string(b) + "\n"
		}
	}
	return said
}
