package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const bootLimit = 5 * time.Minute

// boots measures whole runs, from the start of the process to its end: to userspace and off again.
func boots(o options, s *setup, pair [2]*emulator) ([]row, error) {
	var rows []row
	for _, b := range []struct {
		name  string
		extra []string
	}{{"boot", nil}, {"boot-smp4", []string{"-smp", "4"}}} {
		if !o.selected(b.name, "boot") {
			continue
		}
		times, err := alternate(o.runs, pair, func(e *emulator) (float64, error) {
			_, d, err := e.boot(s, "true", bootLimit, b.extra...)
			return float64(d), err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{Name: b.name, Group: "boot", QEMU: times[0], Goemu: times[1]})
	}
	return rows, nil
}

// alternate runs f for each emulator in turn and returns the medians.
func alternate(runs int, pair [2]*emulator, f func(*emulator) (float64, error)) (med [2]float64, err error) {
	var t [2][]float64
	for range runs {
		for i, e := range pair {
			v, err := f(e)
			if err != nil {
				return med, err
			}
			t[i] = append(t[i], v)
		}
	}
	for i := range t {
		med[i] = median(t[i])
	}
	return med, nil
}

// median sorts the values.
func median(t []float64) float64 {
	slices.Sort(t)
	return t[len(t)/2]
}

// works measures the guest's programs.
func works(o options, s *setup, pair [2]*emulator) ([]row, error) {
	nat, err := native(s)
	if err != nil {
		return nil, err
	}
	args := strings.ReplaceAll(o.only, ",", " ")
	run := "gobench " + args + "; bench " + args
	if o.only == "" {
		run = "gobench; bench; bench disk"
	}
	if len(s.programs) == 1 {
		run = "gobench " + args
	}
	var all [2]map[string][]result
	for i := range all {
		all[i] = map[string][]result{}
	}
	var order []result
	for n := range o.runs {
		for i, e := range pair {
			out, _, err := e.boot(s, run, 10*time.Minute)
			if err != nil {
				return nil, err
			}
			for _, r := range parse(out) {
				all[i][r.name] = append(all[i][r.name], r)
				if n == 0 && i == 0 && o.selected(r.name, r.group) {
					order = append(order, r)
				}
			}
		}
	}
	var rows []row
	for _, w := range order {
		r := row{Name: w.name, Group: w.group}
		for _, n := range nat {
			if n.name == w.name {
				r.Native = n.ns
				if n.sum != w.sum {
					return nil, fmt.Errorf("%s: QEMU computed %s, this machine %s", w.name, w.sum, n.sum)
				}
			}
		}
		for i, e := range pair {
			rs := all[i][w.name]
			if len(rs) == 0 {
				return nil, fmt.Errorf("%s: no result of %s", e.name, w.name)
			}
			for _, x := range rs {
				if x.sum != w.sum {
					return nil, fmt.Errorf("%s: %s computed %s, not %s", w.name, e.name, x.sum, w.sum)
				}
			}
			slices.SortFunc(rs, func(a, b result) int { return int(a.ns - b.ns) })
			*[2]*float64{&r.QEMU, &r.Goemu}[i] = rs[len(rs)/2].ns
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// idle measures what a guest that does nothing costs: processor time in ten seconds, and memory beyond the guest's RAM.
func idle(o options, s *setup, pair [2]*emulator) ([]row, error) {
	if !o.selected("idle", "idle") {
		return nil, nil
	}
	cpu, mem := row{Name: "idle-cpu-10s", Group: "idle"}, row{Name: "memory-MiB", Group: "idle"}
	for i, e := range pair {
		c, m, err := idleOf(e, s)
		if err != nil {
			return nil, err
		}
		*[2]*float64{&cpu.QEMU, &cpu.Goemu}[i] = c
		*[2]*float64{&mem.QEMU, &mem.Goemu}[i] = m
	}
	fmt.Printf("an idle guest costs %.2f %% of a processor under QEMU, %.2f %% under goemu; resident memory %.0f and %.0f MiB\n",
		cpu.QEMU/1e8, cpu.Goemu/1e8, mem.QEMU, mem.Goemu)
	return []row{cpu}, nil
}

func idleOf(e *emulator, s *setup) (cpuNS, rssMiB float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := e.start(ctx, s, "sleep 1000")
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGKILL)
	time.Sleep(15 * time.Second)
	a, _, err := usage(cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(10 * time.Second)
	b, rss, err := usage(cmd.Process.Pid)
	return b - a, rss, err
}

// usage reads a process's processor time in ns and resident memory in MiB.
func usage(pid int) (cpuNS, rssMiB float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	num := func(i int) float64 { n, _ := strconv.ParseFloat(f[i], 64); return n }
	return (num(11) + num(12)) * 1e7, num(21) * float64(os.Getpagesize()) / (1 << 20), nil
}
