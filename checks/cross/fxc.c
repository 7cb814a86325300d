/* fxc FILE: compiles an HLSL compute shader with Microsoft's d3dcompiler_47.dll, which lies beside this
   program, as wgpu does where there is no DXC: target cs_5_1, entry point `main`. Prints the milliseconds that
   it took. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

typedef struct Blob Blob;
struct Table {
  HRESULT(WINAPI *query)(Blob *, REFIID, void **);
  ULONG(WINAPI *add)(Blob *);
  ULONG(WINAPI *release)(Blob *);
  void *(WINAPI *at)(Blob *);
  SIZE_T(WINAPI *size)(Blob *);
};
struct Blob {
  struct Table *table;
};
typedef HRESULT(WINAPI *Compile)(LPCVOID, SIZE_T, LPCSTR, const void *, void *, LPCSTR, LPCSTR, UINT, UINT,
                                 Blob **, Blob **);

/* D3DCOMPILE_ENABLE_STRICTNESS, which wgpu passes. */
static const UINT STRICTNESS = 1 << 11;
static const size_t ROOM = 1 << 22;

static unsigned long milliseconds(void) {
  FILETIME created, ended, system, user;
  GetProcessTimes(GetCurrentProcess(), &created, &ended, &system, &user);
  return (unsigned long)((((unsigned long long)user.dwHighDateTime << 32) + user.dwLowDateTime) / 10000);
}

int main(int count, char **names) {
  HMODULE library = LoadLibraryA("d3dcompiler_47.dll");
  Compile compile = library ? (Compile)(void *)GetProcAddress(library, "D3DCompile") : NULL;
  if (!compile || count != 2) {
    fprintf(stderr, compile ? "usage: fxc FILE\n" : "d3dcompiler_47.dll cannot be loaded\n");
    return 2;
  }
  FILE *file = fopen(names[1], "rb");
  char *text = malloc(ROOM);
  if (!file || !text) {
    fprintf(stderr, "%s cannot be read\n", names[1]);
    return 2;
  }
  size_t size = fread(text, 1, ROOM, file);
  Blob *code = NULL, *said = NULL;
  unsigned long begun = milliseconds();
  HRESULT result = compile(text, size, names[1], NULL, NULL, "main", "cs_5_1", STRICTNESS, 0, &code, &said);
  printf("%lu\n", milliseconds() - begun);
  if (result < 0 && said) fprintf(stderr, "%.2000s\n", (char *)said->table->at(said));
  return result < 0;
}
