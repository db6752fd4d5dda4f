// Recipes measures the recipes for a user's own images: trainings by the program, from the weights
// of a file and from new ones, with one setting changed at a time, over small sets of several
// kinds. It appends a line to a text file for each training and leaves out those that the file
// has, so that a sweep may be interrupted, and ends with a table of their means.
//
//	go run ./bench/recipes -cifar DIR -fashion DIR -photos DIR -out bench/recipes/results.txt
//
// DIR of -cifar has train/ and test/ with a folder of 32-pixel images for each of CIFAR-10's ten
// classes; that of -fashion is as RESIDUAL_DATA names it, with fashion-mnist in it; that of
// -photos has a folder for each class, with at least 700 photos in it. A pair without its
// folder is left out, and the table says so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sweep is what the flags ask for.
type sweep struct {
	program []string // the command that trains
	folders map[string]string
	work    string // lists, sources and run folders
	results *results
}

func main() {
	program := flag.String("program", "residual", "the program, with words before it if you like")
	work := flag.String("work", "", "folder for lists, sources and runs (default: one that is deleted)")
	out := flag.String("out", "bench/recipes/results.txt", "file with a line for each training")
	per := flag.String("per", "20,100,500", "images a class")
	seeds := flag.String("seeds", "0,1,2", "seeds, of images and weights")
	only := flag.String("trials", "", "names of trials, separated by commas (default all)")
	which := flag.String("pairs", "", "names of pairs, separated by commas (default all)")
	folders := map[string]*string{
		"cifar":   flag.String("cifar", "", "folder with train/ and test/ of CIFAR-10 as images"),
		"fashion": flag.String("fashion", "", "folder with fashion-mnist in it"),
		"photos":  flag.String("photos", "", "folder of photos, one folder for each class"),
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := sweep{program: strings.Fields(*program), folders: map[string]string{}, work: *work}
	for name, path := range folders {
		s.folders[name] = *path
	}
	err := s.run(ctx, *out, numbers(*seeds), numbers(*per), chosen(*only), chosen(*which))
	if err != nil {
		fmt.Fprintln(os.Stderr, "recipes:", err)
		os.Exit(1)
	}
}

// run makes all trainings that the file lacks, the first seed of all of them first.
func (s *sweep) run(ctx context.Context, out string, seeds, per []int, only, which func(string) bool) (err error) {
	if s.work == "" {
		if s.work, err = os.MkdirTemp("", "recipes-"); err != nil {
			return err
		}
		defer os.RemoveAll(s.work)
	}
	if s.work, err = filepath.Abs(s.work); err != nil {
		return err
	}
	if s.results, err = readResults(out); err != nil {
		return err
	}
	for _, seed := range seeds {
		for _, n := range per {
			for _, t := range trials {
				for _, p := range pairs {
					k := key{p.name, n, t.name, seed}
					if !only(t.name) || !which(p.name) || !s.has(p) || s.results.has(k) {
						continue
					}
					r, err := s.train(ctx, p, t, k)
					if err != nil {
						return fmt.Errorf("%s, %d images a class, %s, seed %d: %w", p.name, n, t.name, seed, err)
					}
					if err := s.results.add(k, r); err != nil {
						return err
					}
				}
			}
		}
	}
	return s.results.table(os.Stdout, per)
}

// has reports whether the folders of a pair were given.
func (s *sweep) has(p pair) bool {
	return s.folders[p.source.folder] != "" && s.folders[p.target.folder] != ""
}

// chosen returns a function that reports whether a list has a name, or is empty.
func chosen(list string) func(string) bool {
	names := strings.Split(list, ",")
	return func(name string) bool { return list == "" || slices.Contains(names, name) }
}

// numbers reads numbers separated by commas.
func numbers(list string) (all []int) {
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			fmt.Fprintf(os.Stderr, "recipes: %q is no list of numbers such as 20,100\n", list)
			os.Exit(2)
		}
		all = append(all, n)
	}
	return all
}
