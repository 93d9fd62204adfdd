// Images of the history in the browser's IndexedDB, by a key. Without a database, an image is simply not found.
const opened = new Promise((resolve) => {
  const request = indexedDB.open("atelier-playground", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("images");
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => resolve(null);
});
const run = async (type, action) => {
  const database = await opened;
  if (!database) return undefined;
  return new Promise((resolve) => {
    const transaction = database.transaction("images", type);
    const request = action(transaction.objectStore("images"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => resolve(undefined);
  });
};
export const keep = (key, blob) => run("readwrite", (images) => images.put(blob, key));
export const stored = (key) => run("readonly", (images) => images.get(key));
export const forget = (key) => run("readwrite", (images) => images.delete(key));
