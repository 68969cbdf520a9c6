/*
 * sharetool.c - run inside a guest, in a mounted folder: what Unix promises of
 * files, as a table of calls and what comes of them.
 *
 *	sharetool FOLDER
 *
 * Prints a line for each that is not as it should be, and how many were.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FAR (5ll << 30)

static unsigned good, bad;
static char name255[256], name256[257];

static void judge(const char *what, long got, int error, long want)
{
	/* A negative wish is an error number. */
	long is = got < 0 ? -error : got;

	if (is == want || (want == 0 && got > 0)) {
		good++;
		return;
	}
	bad++;
	printf("bad: %s gave %ld (%s), not %ld\n", what, is,
		got < 0 ? strerror(error) : "", want);
}

#define IS(want, call)                                                         \
	do {                                                                   \
		long r_;                                                       \
                                                                               \
		errno = 0;                                                     \
		r_ = (long)(call);                                             \
		judge(#call, r_, errno, want);                                 \
	} while (0)

static int make(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return fd;
}

static long mode_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) ? -1 : (long)(st.st_mode & 07777);
}

static long size_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) ? -1 : (long)st.st_size;
}

static long links_of(const char *name)
{
	struct stat st;

	return lstat(name, &st) ? -1 : (long)st.st_nlink;
}

static long is_text(int fd, off_t at, const char *text)
{
	char buf[64] = "";

	if (pread(fd, buf, sizeof(buf) - 1, at) < 0)
		return -1;
	return !strncmp(buf, text, strlen(text));
}

static void opening(void)
{
	IS(0, close(make("f", "text")));
	IS(-EEXIST, open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	IS(-ENOENT, open("none", O_RDONLY));
	IS(-ENOTDIR, open("f/x", O_RDONLY));
	IS(-ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	IS(-EISDIR, open(".", O_WRONLY));
	IS(-ENAMETOOLONG, open(name256, O_CREAT | O_RDWR, 0644));
	IS(0, close(make(name255, "")));
	IS(0, unlink(name255));
	IS(0, symlink("loop", "loop"));
	IS(-ELOOP, open("loop", O_RDONLY));
	IS(-ELOOP, open("loop", O_RDONLY | O_NOFOLLOW));
	IS(0, unlink("loop"));
	IS(0, symlink("f", "s"));
	IS(0, close(open("s", O_RDONLY)));
	IS(0, unlink("s"));
	IS(0, close(open("f", O_RDWR | O_TRUNC)));
	IS(0, size_of("f"));
	IS(0, unlink("f"));
}

static void data(void)
{
	int a = make("f", "hello"), b = open("f", O_WRONLY | O_APPEND);

	IS(1, is_text(a, 0, "hello"));
	IS(5, write(b, " there", 5));
	IS(1, is_text(a, 0, "hello ther"));
	IS(3, pwrite(a, "HEL", 3, 0));
	IS(1, is_text(a, 0, "HELlo ther"));
	IS(0, fsync(a));
	IS(0, fdatasync(a));
	IS(0, ftruncate(a, 3));
	IS(3, size_of("f"));
	IS(0, ftruncate(a, 1 << 20));
	IS(1 << 20, size_of("f"));
	IS(4, pwrite(a, "far!", 4, FAR));
	IS(FAR + 4, size_of("f"));
	IS(1, is_text(a, FAR, "far!"));
	IS(1, is_text(a, 3, ""));
	IS(0, truncate("f", 0));
	IS(0, size_of("f"));
	IS(-EINVAL, truncate("f", -1));
	IS(0, close(b));
	/* gone, and still there for who has it open */
	IS(2, write(a, "ab", 2));
	IS(0, unlink("f"));
	IS(1, is_text(a, 5, "ab") || is_text(a, 0, "ab"));
	IS(2, pwrite(a, "xy", 2, 0));
	IS(1, is_text(a, 0, "xy"));
	IS(-ENOENT, size_of("f"));
	IS(0, close(a));
}

static void names(void)
{
	char buf[100] = "";

	IS(0, mkdir("d", 0755));
	IS(-EEXIST, mkdir("d", 0755));
	IS(-ENOENT, mkdir("x/y", 0755));
	IS(0, mkdir("d/e", 0700));
	IS(0700, mode_of("d/e"));
	IS(-ENOTEMPTY, rmdir("d"));
	IS(-EINVAL, rename("d", "d/e/f"));
	IS(0, close(make("f", "1")));
	IS(0, close(make("g", "22")));
	IS(-ENOTDIR, rmdir("f"));
	IS(-EISDIR, unlink("d/e"));
	IS(0, rename("f", "g"));
	IS(1, size_of("g"));
	IS(-ENOENT, rename("f", "g"));
	IS(-EISDIR, rename("g", "d"));
	IS(-ENOTDIR, rename("d", "g"));
	IS(-ENOTEMPTY, rename("d/e", "d"));
	IS(0, link("g", "d/h"));
	IS(2, links_of("g"));
	IS(-EEXIST, link("g", "d/h"));
	IS(0, unlink("g"));
	IS(1, links_of("d/h"));
	IS(0, rename("d", "n"));
	IS(1, size_of("n/h"));
	IS(0, mkdir("d", 0755));
	IS(0, rename("n/e", "d"));
	IS(0, rename("n/h", "d/h"));
	IS(0, rmdir("n"));
	IS(0, symlink("/nowhere/at/all", "s"));
	IS(15, readlink("s", buf, sizeof(buf)));
	IS(0, strcmp(buf, "/nowhere/at/all"));
	IS(-ENOENT, open("s", O_RDONLY));
	IS(-EINVAL, readlink("d", buf, sizeof(buf)));
	IS(0, unlink("s"));
	IS(0, unlink("d/h"));
	IS(0, rmdir("d"));
}

static void attributes(void)
{
	struct timespec t[2] = {{1000, 1}, {2000, 2}};
	struct statvfs v;
	struct stat st;

	IS(0, close(make("f", "1")));
	IS(0, chmod("f", 0751));
	IS(0751, mode_of("f"));
	IS(0, chmod("f", 0));
	IS(0, mode_of("f"));
	IS(0, chmod("f", 04755));
	IS(0755, mode_of("f")); /* nobody lends the host's user's rights */
	IS(0, utimensat(AT_FDCWD, "f", t, 0));
	IS(0, lstat("f", &st));
	IS(1, st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 2000);
	IS(0, utimensat(AT_FDCWD, "f", NULL, 0));
	IS(0, lstat("f", &st));
	IS(1, st.st_mtim.tv_sec > 100000);
	IS(0, chown("f", st.st_uid, st.st_gid));
	IS(-EPERM, chown("f", 4711, st.st_gid));
	IS(0, statvfs(".", &v));
	IS(1, v.f_blocks > 0 && v.f_namemax == 255);
	IS(-EPERM, mknod("c", S_IFCHR | 0666, 0x103));
	IS(0, mkfifo("p", 0600));
	IS(0, unlink("p"));
	IS(0, unlink("f"));
}

static void extended(void)
{
	char buf[100];

	IS(0, close(make("f", "1")));
	if (setxattr("f", "user.a", "value", 5, 0) && errno == EOPNOTSUPP) {
		printf("no extended attributes\n");
		IS(0, unlink("f"));
		return;
	}
	IS(5, getxattr("f", "user.a", buf, sizeof(buf)));
	IS(0, strncmp(buf, "value", 5));
	IS(-EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE));
	IS(-ENODATA, setxattr("f", "user.b", "x", 1, XATTR_REPLACE));
	IS(7, listxattr("f", buf, sizeof(buf)));
	IS(-ERANGE, getxattr("f", "user.a", buf, 2));
	IS(0, removexattr("f", "user.a"));
	IS(-ENODATA, getxattr("f", "user.a", buf, sizeof(buf)));
	IS(0, unlink("f"));
}

static void folders(void)
{
	unsigned n = 0;
	char name[32];
	DIR *d;

	IS(0, mkdir("many", 0755));
	for (unsigned i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		if (close(open(name, O_CREAT | O_WRONLY, 0600)))
			break;
		n++;
	}
	IS(700, n);
	d = opendir("many");
	n = 0;
	/* They go while they are being listed. */
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "many/%.20s", e->d_name);
		n += !unlink(name);
	}
	IS(700, n);
	if (d)
		closedir(d);
	IS(0, rmdir("many"));
}

static long child_can_lock(const char *name)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		int fd = open(name, O_RDWR);

		_exit(fd < 0 || flock(fd, LOCK_EX | LOCK_NB));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static void locks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
	int fd = make("f", "1");

	IS(0, flock(fd, LOCK_EX));
	IS(0, child_can_lock("f"));
	IS(0, flock(fd, LOCK_UN));
	IS(1, child_can_lock("f"));
	IS(0, fcntl(fd, F_SETLK, &l));
	l.l_type = F_UNLCK;
	IS(0, fcntl(fd, F_SETLK, &l));
	IS(0, close(fd));
	IS(0, unlink("f"));
}

/* Where the mount allows it: without a cache there is no writing that way. */
static void mapped(void)
{
	int fd = make("f", "0123456789");
	char *p;

	IS(0, ftruncate(fd, 20000));
	p = mmap(NULL, 20000, PROT_READ, MAP_PRIVATE, fd, 0);
	IS(1, p != MAP_FAILED && p[3] == '3' && !p[15000]);
	p = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		printf("no shared mappings\n");
	} else {
		memcpy(p + 9000, "mapped", 6);
		IS(0, msync(p, 20000, MS_SYNC));
		IS(1, is_text(fd, 9000, "mapped"));
		IS(0, munmap(p, 20000));
	}
	IS(0, close(fd));
	IS(0, unlink("f"));
}

int main(int argc, char **argv)
{
	umask(0);
	memset(name255, 'n', 255);
	memset(name256, 'n', 256);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc != 2 || chdir(argv[1])) {
		perror("sharetool FOLDER");
		return 2;
	}
	opening();
	data();
	names();
	attributes();
	extended();
	folders();
	locks();
	mapped();
	printf("sharetool: %u good, %u bad\n", good, bad);
	return bad > 0;
}
