// Bench compares goemu with QEMU, work by work, in one run: the same kernel, the same programs, one after the other. It prints times and
// ratios (above 1: goemu is faster), checks that the results are equal, and can write JSON and an SVG chart.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// row is one line of the table. Times are nanoseconds; 0 means not measured.
type row struct {
	Name   string  `json:"name"`
	Group  string  `json:"group"`
	Native float64 `json:"native_ns,omitempty"`
	QEMU   float64 `json:"qemu_ns"`
	Goemu  float64 `json:"goemu_ns"`
	// Peak memory in MiB, where it counts.
	QEMURSS  float64 `json:"qemu_rss_mib,omitempty"`
	GoemuRSS float64 `json:"goemu_rss_mib,omitempty"`
	// Unit of what is no time: "B" for bytes.
	Unit string `json:"unit,omitempty"`

	sum string // of the result
}

// ratio is how many times faster goemu is than QEMU.
func (r row) ratio() float64 { return r.QEMU / r.Goemu }

type options struct {
	goemu, qemu, only, json, svg string
	imageSize, images, debian    string
	runs                         int
}

// measure is a part of the benchmark.
type measure struct {
	names []string // the groups and works by which -only asks for it; nil for whatever no other measure has
	guest bool     // whether it boots the guest
	run   func(o options, s *setup, pair [2]*emulator) ([]row, error)
}

var measures = []measure{
	{append(namesOf(imageWorks, imageWork.String), append(append(namesOf(nbdWorks, nbdWork.String), namesOf(mirrorWorks, mirrorWork.String)...), imageGroup, nbdGroup)...), false, images},
	{append(namesOf(monitorWorks, monitorWork.String), monitorGroup), false, monitors},
	{append(migrationWorks, migrationGroup), false, moves},
	{append(kvmWorks, kvmGroup), false, kvm},
	{append(namesOf(bootWorks, bootWork.String), bootGroup), true, boots},
	{append(firmwareWorks, firmwareGroup), true, firmware},
	{nil, true, programs},
	{append(netNames(), netGroup), true, networks},
	{append(namesOf(storages, adapter.String), storageGroup), true, disks},
	{append(screenNames(), screenGroup), true, screens},
	{[]string{idleGroup}, true, idle},
}

func namesOf[T any](list []T, name func(T) string) (names []string) {
	for _, x := range list {
		names = append(names, name(x))
	}
	return names
}

// has tells whether a name in -only is this measure's.
func (m *measure) has(name string) bool {
	if m.names == nil {
		return !slices.ContainsFunc(measures, func(x measure) bool { return slices.Contains(x.names, name) })
	}
	return slices.Contains(m.names, name)
}

// of returns the options with what -only says about one measure; false if it says something, and nothing about that.
func (o options) of(m *measure) (options, bool) {
	if o.only == "" {
		return o, true
	}
	names := slices.DeleteFunc(strings.Split(o.only, ","), func(s string) bool { return !m.has(s) })
	o.only = strings.Join(names, ",")
	return o, len(names) > 0
}

func main() {
	var o options
	flag.StringVar(&o.goemu, "goemu", "bin/goemu", "the goemu `binary`, with options if need be")
	flag.StringVar(&o.qemu, "qemu", "qemu-system-x86_64 -accel tcg -L /usr/share/seabios", "the QEMU `command`")
	flag.StringVar(&o.only, "only", "", "run only these `works` or groups (comma separated: int fp mem sys go disk boot firmware net storage screen idle image nbd qmp migration kvm …)")
	flag.StringVar(&o.imageSize, "image-size", "512M", "the `size` of the disk image for the image tools (4096M for the full measurement)")
	flag.StringVar(&o.images, "images", "", "a `directory` for the source images, whose images are used again; they must be of -image-size")
	flag.StringVar(&o.debian, "debian", "", "a disk `image` with an installed Debian whose login prompt is on the serial port")
	flag.IntVar(&o.runs, "runs", 3, "`times` each emulator runs; the median counts")
	flag.StringVar(&o.json, "json", "", "write the figures to this `file`")
	flag.StringVar(&o.svg, "svg", "", "write a bar chart to this `file`")
	flag.Parse()
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(o options) error {
	dir, err := os.MkdirTemp("", "goemu-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var rows []row
	s := &setup{dir: dir}
	pair := [2]*emulator{{"QEMU", strings.Fields(o.qemu)}, {"goemu", strings.Fields(o.goemu)}}
	for _, m := range measures {
		part, ok := o.of(&m)
		if !ok {
			continue
		}
		if m.guest && s.kernel == "" {
			if err := s.prepare(); err != nil {
				return err
			}
		}
		r, err := m.run(part, s, pair)
		if err != nil {
			return err
		}
		rows = append(rows, r...)
	}
	print(rows)
	if o.json != "" {
		b, err := json.MarshalIndent(rows, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, chart(rows), 0o644)
	}
	return nil
}

// print shows the table and the geometric means of each group.
func print(rows []row) {
	fmt.Printf("%-14s %-6s %12s %12s %12s %8s %8s\n", "work", "group", "native", "QEMU", "goemu", "/native", "vs QEMU")
	logs := map[string][]float64{}
	var order []string
	for _, r := range rows {
		slow := "-"
		if r.Native > 0 {
			slow = fmt.Sprintf("%.2f", r.Goemu/r.Native)
		}
		fmt.Printf("%-14s %-6s %12s %12s %12s %8s %7.2fx\n", r.Name, r.Group, r.show(r.Native), r.show(r.QEMU), r.show(r.Goemu), slow, r.ratio())
		if r.GoemuRSS > 0 {
			fmt.Printf("%-14s %-6s %12s %11.1fM %11.1fM\n", "", "memory", "", r.QEMURSS, r.GoemuRSS)
		}
		if logs[r.Group] == nil {
			order = append(order, r.Group)
		}
		logs[r.Group] = append(logs[r.Group], math.Log(r.ratio()))
	}
	var cpu []float64
	for _, g := range order {
		fmt.Printf("geometric mean of %-5s %.2fx\n", g, geomean(logs[g]))
		if strings.Contains("int fp mem sys go", g) {
			cpu = append(cpu, logs[g]...)
		}
	}
	if len(cpu) > 0 {
		fmt.Printf("geometric mean of all CPU works %.2fx\n", geomean(cpu))
	}
}

func geomean(logs []float64) float64 {
	sum := 0.0
	for _, l := range logs {
		sum += l
	}
	return math.Exp(sum / float64(len(logs)))
}

// show writes one of the row's figures.
func (r *row) show(v float64) string {
	switch {
	case v == 0:
		return "-"
	case r.Unit != "":
		return fmt.Sprintf("%.0f %s", v, r.Unit)
	}
	return time.Duration(v).Round(10 * time.Microsecond).String()
}

// selected tells whether -only asks for a work.
func (o options) selected(name, group string) bool {
	if o.only == "" {
		return true
	}
	for s := range strings.SplitSeq(o.only, ",") {
		if s == name || s == group {
			return true
		}
	}
	return false
}
