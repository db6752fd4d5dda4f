// Package hugepages asks the system to keep large memory in huge pages.
package hugepages

// Advise asks the system to use huge pages for memory that nobody has written yet. With
// small pages, writing it for the first time costs a page fault every 4 KiB, reading tens of
// megabytes is slowed by address translation, and the processor's prefetching stops at every page. The
// system may ignore the advice, and small slices are left as they are.
func Advise(m []float32) { advise(m) }
