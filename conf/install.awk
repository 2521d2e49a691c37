# SPDX-License-Identifier: ISC
# What the preprocessed install.in says, as
#   -v form=sysusers     lines of sysusers.d(5)
#   -v form=tmpfiles     lines of tmpfiles.d(5)
#   -v form=directories  PATH MODE OWNER GROUP, for make install
#   -v form=accounts     NAME PURPOSE, for make accounts
# prefix: of the accounts.

# The strings of a line, those that stand beside each other joined: "a" "/b" is a/b.
function strings(line, out,    n, parts, i, count) {
	n = split(line, parts, "\"")
	count = 0
	for (i = 2; i <= n; i += 2)
		out[++count] = parts[i]
	return count
}

function account_name(word) { return word == "vmail" || word == "root" ? word : prefix word }

$1 == "setting" && $2 == "DIRECTORY" {
	count = strings($0, s)
	value = ""
	for (i = 2; i <= count; i++)
		value = value s[i]
	path_of[s[1]] = value
}

$1 == "account" {
	strings($0, s)
	if (form == "sysusers") # passwd(5) has no place for a colon in the comment
		printf "u %s - \"posthouse (%s)\" %s -\n", account_name($2), s[1], $2 == "vmail" ? path_of["mail.root"] : "-"
	if (form == "accounts")
		print account_name($2), s[1]
}

$1 == "directory" {
	strings($0, s)
	path = path_of[s[1]] (s[2] == "" ? "" : "/" s[2])
	mode = $0
	sub(/^.*" 0/, "0", mode)
	sub(/ .*/, "", mode)
	owner = account_name(s[3])
	group = account_name(s[4])
	if (form == "tmpfiles")
		print "d", path, mode, owner, group, "-"
	if (form == "directories")
		print path, mode, owner, group
}
