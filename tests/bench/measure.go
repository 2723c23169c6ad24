package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const bootLimit = 5 * time.Minute

// bootGroup is the whole runs.
const bootGroup = "boot"

type bootWork struct {
	name  string
	extra []string
}

func (w bootWork) String() string { return w.name }

var bootWorks = []bootWork{{"boot", nil}, {"boot-smp4", []string{"-smp", "4"}}}

// boots measures whole runs, from the start of the process to its end: to userspace and off again.
func boots(o options, s *setup, pair [2]*emulator) (rows []row, err error) {
	for _, b := range bootWorks {
		if !o.selected(b.name, bootGroup) {
			continue
		}
		r, err := alternate(o.runs, pair, func(e *emulator) ([]result, error) {
			_, d, err := e.boot(s, "true", bootLimit, b.extra...)
			return one(b.name, bootGroup, float64(d)), err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

func one(name, group string, ns float64) []result {
	return []result{{name: name, group: group, ns: ns}}
}

// alternate runs f for QEMU and goemu in turn and returns a row with the medians for each of its results, which must be the same each time.
func alternate[T any](runs int, pair [2]T, f func(T) ([]result, error)) (rows []row, err error) {
	emulators := [2]string{"QEMU", "goemu"}
	times := map[string]*[2][]float64{}
	for range runs {
		for i, p := range pair {
			results, err := f(p)
			if err != nil {
				return nil, err
			}
			for _, r := range results {
				if times[r.name] == nil {
					times[r.name] = new([2][]float64)
					rows = append(rows, row{Name: r.name, Group: r.group, sum: r.sum})
				}
				if at := slices.IndexFunc(rows, func(x row) bool { return x.Name == r.name }); rows[at].sum != r.sum {
					return nil, fmt.Errorf("%s: %s computed %s, not %s", r.name, emulators[i], r.sum, rows[at].sum)
				}
				times[r.name][i] = append(times[r.name][i], r.ns)
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		for k, t := range times[r.Name] {
			if len(t) == 0 {
				return nil, fmt.Errorf("%s: no result of %s", r.Name, emulators[k])
			}
			slices.Sort(t)
			*[2]*float64{&r.QEMU, &r.Goemu}[k] = t[len(t)/2]
		}
	}
	return rows, nil
}

// console measures what a program in the guest prints about the works that are asked for.
func console(o options, s *setup, pair [2]*emulator, run string, asked func(result) bool, extra ...string) ([]row, error) {
	return alternate(o.runs, pair, func(e *emulator) ([]result, error) {
		out, _, err := e.boot(s, run, 10*time.Minute, extra...)
		return slices.DeleteFunc(parse(out), func(r result) bool { return !asked(r) }), err
	})
}

// programs measures the guest's programs.
func programs(o options, s *setup, pair [2]*emulator) ([]row, error) {
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
	rows, err := console(o, s, pair, run, func(r result) bool { return o.selected(r.name, r.group) })
	for i := range rows {
		r := &rows[i]
		for _, n := range nat {
			if n.name != r.Name {
				continue
			}
			if r.Native = n.ns; n.sum != r.sum {
				return nil, fmt.Errorf("%s: QEMU computed %s, this machine %s", r.Name, r.sum, n.sum)
			}
		}
	}
	return rows, err
}

const idleGroup = "idle"

// idle measures what a guest that does nothing costs: processor time in ten seconds, without and with a VNC client that waits for changes,
// and memory beyond the guest's RAM.
func idle(_ options, s *setup, pair [2]*emulator) (rows []row, err error) {
	for _, w := range []struct {
		name    string
		watched bool
	}{{"idle-cpu-10s", false}, {"idle-vnc-10s", true}} {
		cpu, mem := row{Name: w.name, Group: idleGroup}, row{}
		for i, e := range pair {
			c, m, err := e.idle(s, w.watched)
			if err != nil {
				return nil, err
			}
			*[2]*float64{&cpu.QEMU, &cpu.Goemu}[i] = c
			*[2]*float64{&mem.QEMU, &mem.Goemu}[i] = m
		}
		fmt.Printf("%s: an idle guest costs %.2f %% of a processor under QEMU, %.2f %% under goemu; resident memory %.0f and %.0f MiB\n",
			w.name, cpu.QEMU/1e8, cpu.Goemu/1e8, mem.QEMU, mem.Goemu)
		rows = append(rows, cpu)
	}
	return rows, nil
}

// idle boots a guest that does nothing and returns what it costs in ten seconds.
func (e *emulator) idle(s *setup, watched bool) (cpuNS, rssMiB float64, err error) {
	const begun = "GOEMU-IDLES"
	err = e.shown(s, "echo "+begun+"; sleep 1000", begun, func(pid int, socket string) error {
		if watched {
			v, err := view(socket, rfbTight)
			if err != nil {
				return err
			}
			defer v.c.Close()
			go func() {
				for err := v.frame(true); err == nil; {
					err = v.frame(false)
				}
			}()
		}
		time.Sleep(15 * time.Second)
		a, _, err := usage(pid)
		if err != nil {
			return err
		}
		time.Sleep(10 * time.Second)
		b, rss, err := usage(pid)
		cpuNS, rssMiB = b-a, rss
		return err
	})
	return cpuNS, rssMiB, err
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
