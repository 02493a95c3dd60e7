# SPDX-License-Identifier: LGPL-2.1-or-later
# Compare counts of instructions: files counts-KERNEL-RUN with lines NAME COUNT.
# Exit 1 when a patched kernel is above the bound.
BEGIN {
	bound = 0.2
	bounded["fault"] = bounded["munmap"] = bounded["mprotect"] = 1
	bounded["fork+exit"] = bounded["vma-size"] = 1
}
{
	n = split(FILENAME, part, "-")
	kernel = part[n - 1]
	key = kernel SUBSEP $1
	if (!($1 in seen)) {
		seen[$1] = 1
		order[++names] = $1
	}
	if (!(key in sum) || $2 < low[key])
		low[key] = $2
	if (!(key in sum) || $2 > high[key])
		high[key] = $2
	sum[key] += $2
	runs[key]++
}
function mean(kernel, name) {
	return sum[kernel, name] / runs[kernel, name]
}
function spread(kernel, name) {
	return 100 * (high[kernel, name] - low[kernel, name]) / \
		mean(kernel, name)
}
function more(kernel, name) {
	return 100 * (mean(kernel, name) / mean("base", name) - 1)
}
END {
	printf "%-10s %12s %8s %12s %8s %8s %12s %8s\n", "", "unpatched",
		"spread", "patched", "spread", "more", "dispatch", "more"
	for (i = 1; i <= names; i++) {
		name = order[i]
		printf "%-10s %12d %7.3f%% %12d %7.3f%% %+7.3f%%", name,
			mean("base", name), spread("base", name),
			mean("patched", name), spread("patched", name),
			more("patched", name)
		printf " %12d %+7.3f%%\n", mean("dispatch", name),
			more("dispatch", name)
		if (name in bounded && more("patched", name) > bound) {
			print name " is above " bound " %"
			bad = 1
		}
	}
	exit bad
}
